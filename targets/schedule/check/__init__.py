"""Whether a schedule is valid, apart from what made it."""
