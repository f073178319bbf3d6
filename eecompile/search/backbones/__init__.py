"""Backbones that are searched: families of networks, and the user's own file."""
