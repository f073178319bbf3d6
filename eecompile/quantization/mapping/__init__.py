"""Which layer, or part of one, computes in which numbers: searched, costed and measured."""
