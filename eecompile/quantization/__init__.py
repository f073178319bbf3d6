"""Ranges, scales and rounded weights."""
