"""What a terminal shows while a verb works."""
