"""GAP9 against what was measured: networks, a log of layers, the fit and its errors."""
