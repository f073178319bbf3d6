"""What `inspect`, `cost` and `targets` print when nobody asked for JSON."""

from __future__ import annotations
