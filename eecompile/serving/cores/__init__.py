"""Cores that work on several requests at once: what a stage takes of each, and when another may begin."""
