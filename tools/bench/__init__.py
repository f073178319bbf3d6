"""Benchmarks: speed beside a peer or a bound of the same run."""
