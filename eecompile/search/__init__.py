"""The hardware-aware search: backbones, precision, exits, heads and thresholds, designed together."""
