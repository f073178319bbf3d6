"""Networks in onnxruntime: numpy and onnxruntime alone."""
