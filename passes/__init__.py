"""ONNX graph in, ONNX graph out: the graph passes of eecompile."""
