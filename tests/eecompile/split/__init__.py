"""Tests of runs split over a link."""
