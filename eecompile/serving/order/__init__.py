"""In which order those that wait are served: heaps, ranks, and the fewest late."""
