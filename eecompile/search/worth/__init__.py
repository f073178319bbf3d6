"""What a design is worth: its supernet, its answers, its costs, and the front over all its exits and thresholds."""
