"""Tests of what device and server of a split share."""
