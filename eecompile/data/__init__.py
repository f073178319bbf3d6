"""Images: where they come from, how a network wants them."""
