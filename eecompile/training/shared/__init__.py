"""Several networks of one family trained as slices of the largest."""
