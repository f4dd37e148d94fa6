"""Regression: one or more numbers per sequence."""
