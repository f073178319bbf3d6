"""Loop nests and what a mapping of one costs."""
