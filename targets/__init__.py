"""Accelerators: their cores, rules, cost of a layer, schedule of a network."""
