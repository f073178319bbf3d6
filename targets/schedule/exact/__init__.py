"""The scheduling problem for CP-SAT."""
