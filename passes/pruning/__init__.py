"""Which channels can only go together, and a network without some of them."""
