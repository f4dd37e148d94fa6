"""Ostinato: recurrent sequence classification on PyTorch."""
