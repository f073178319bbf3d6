"""One function per verb, as `eecompile.api` offers them."""
