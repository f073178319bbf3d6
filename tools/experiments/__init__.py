"""Long experiments; their results pages are in docs/results/."""
