"""Batches: how many requests run a stage together, and what that costs."""
