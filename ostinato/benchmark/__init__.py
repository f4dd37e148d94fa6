"""Ostinato and other libraries, timed side by side on this machine.

timing        the clock: samples in turn, without those that another program disturbed
arithmetic    floating-point operations of a layer, and the rate of a matrix product
rows          one line of the results: timings, ratios, goals
bench         checks that all sides of a row agree, times them, prints the row
layer_sides   a recurrent layer in Ostinato, torch.nn and ONNX Runtime
textbook      whole models and training steps, as tutorials write them
frameworks    ONNX Runtime and Keras on JAX
workload      a preset's network and data, and its training step in Ostinato
layers, training, scan    the rows that can be measured
record        results as JSON and as a plot
processes     a function in its own process; threads and memory of a process
program       rows by name, for `ostinato benchmark` and the scripts in benchmarks/
"""
