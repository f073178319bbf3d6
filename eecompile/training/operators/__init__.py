"""One torch function per operator of the canonical form: what the trainer executes is the graph itself."""
