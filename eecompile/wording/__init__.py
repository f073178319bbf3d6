"""How numbers and results are put into words."""
