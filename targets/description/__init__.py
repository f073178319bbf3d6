"""Descriptions of accelerators and wishes for mappings."""
