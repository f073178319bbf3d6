"""The quad-core Edge-TPU-like accelerator of arXiv 2512.04705."""
