"""The hardware-aware search: which network is worth training, and what its exits are."""
