"""What the verbs do, once what they were given is known to be whole."""
