"""How a run gets its integers, and what they do to exits."""
