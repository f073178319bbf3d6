"""Checks in environments of their own, for continuous integration; they need the standard library alone."""
