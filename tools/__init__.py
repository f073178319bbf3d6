"""Benchmarks, comparisons and generators: nothing here is imported by the packages."""
