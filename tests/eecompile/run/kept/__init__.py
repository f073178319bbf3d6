"""Tests of what runs keep."""
