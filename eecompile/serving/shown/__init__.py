"""A page about runs under load."""
