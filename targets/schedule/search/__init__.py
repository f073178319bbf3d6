"""The search for a good schedule."""
