"""Tests of the verb `split` on the command line."""
