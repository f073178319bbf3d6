"""Networks in files: the only place that touches protobuf."""
