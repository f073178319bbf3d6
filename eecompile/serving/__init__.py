"""Serving early exits under load: what arrives, who is next, and what that comes to."""
