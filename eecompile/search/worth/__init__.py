"""What a design is worth: its supernet, its answers, its costs, its front over exits and thresholds."""
