"""Multilabel classification: any number of labels per sequence."""
