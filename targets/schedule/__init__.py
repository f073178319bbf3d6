"""Many layers on many cores: timelines, and what each exit path costs."""
