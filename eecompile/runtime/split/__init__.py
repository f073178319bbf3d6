"""A network in two parts over a link: what device and server share, on numpy and onnxruntime alone."""
