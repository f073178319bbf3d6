"""Fronts over all networks that a supernet holds: exits, heads and thresholds, with what bounds them."""
