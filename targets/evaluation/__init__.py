"""What a network costs on a target: per layer, per exit, at each operating point."""
