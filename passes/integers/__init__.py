"""Integer grids, and networks on them."""
