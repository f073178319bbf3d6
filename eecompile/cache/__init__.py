"""What was computed once and is asked for again: one store, shared by all processes of a user."""
