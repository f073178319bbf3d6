"""In-memory arrays: circuits, area, clock and peak."""
