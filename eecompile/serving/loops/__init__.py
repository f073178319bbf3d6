"""Requests served on one accelerator, event by event: one at a time, and in batches."""
