"""What a target is, and which there are."""
