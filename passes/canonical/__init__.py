"""The one form of networks that all other passes read."""
