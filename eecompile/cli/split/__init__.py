"""The verb `split` on the command line."""
