"""Tagging: one tag for each token."""
