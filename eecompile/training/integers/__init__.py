"""Training for integers: the quantized graph itself, and the steps of its grids."""
