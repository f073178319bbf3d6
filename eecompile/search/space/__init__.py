"""The space that is searched, as a TOML file says it."""
