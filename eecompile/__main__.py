"""``python -m eecompile`` is the command line."""

from __future__ import annotations

from eecompile.cli.main import main

if __name__ == "__main__":
    main()
