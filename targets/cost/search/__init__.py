"""The best mapping of a loop nest."""
