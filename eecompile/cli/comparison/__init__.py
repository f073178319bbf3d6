"""How runs side by side look on a terminal."""
