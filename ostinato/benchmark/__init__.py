"""Engines and peers, timed side by side on this machine.

timing      the clock: samples in turn, busy ones dropped, answers compared first
peers       the same layers and models through torch.nn, ONNX Runtime and Keras on JAX
layers, training, scan    what is measured: tables of rows
record      the figures as JSON and as a plot
program     rows by name, for `ostinato benchmark` and the scripts in benchmarks/
"""
