"""The run directory and its summary."""
