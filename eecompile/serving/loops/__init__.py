"""Requests served on one accelerator, event by event: one at a time, in batches, and beside each other."""
