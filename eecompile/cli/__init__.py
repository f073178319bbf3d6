"""The command line: options, exit codes, and what each verb shows."""
