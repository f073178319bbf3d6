"""Compile trained ONNX classifiers into early-exit networks for edge accelerators."""
