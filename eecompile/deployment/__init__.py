"""The files of a compiled network, and the proof that they agree."""
