"""DIANA, a hybrid digital / analog in-memory SoC."""
