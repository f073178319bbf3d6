"""What parameters of the verbs take, and what of it is refused."""
