"""Runs served for real: the Open Inference Protocol over HTTP and gRPC, stage by stage, by a policy."""
