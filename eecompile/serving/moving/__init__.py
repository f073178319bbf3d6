"""Thresholds that move while requests are served: under overload, and after the images."""
