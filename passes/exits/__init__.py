"""Exits: where they may sit, what a head is, and networks that leave early."""
