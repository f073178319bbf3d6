"""Answers of exits, thresholds, and which exits stay."""
