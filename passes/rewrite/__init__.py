"""What passes that rewrite by rules share."""
