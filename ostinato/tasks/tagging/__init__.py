"""Tagging: one tag per token."""
