"""Readers of accelerator and mapping files that other tools and earlier runs wrote."""
