"""Layers as ONNX graphs: written node by node, not traced, so that batch and length stay dynamic.

graph      a graph under construction, and the small operations that all layers use
scan       a loop over time
recurrent  recurrent layers: ONNX's LSTM, GRU and RNN, and scans for the other cells
layers     embeddings, convolutions, stacks, character features
pooling    poolings
crf        the best tags and their probabilities
wide, wide_kernels  linear models of whole sequences
sequence   a whole network with one output per sequence
quantize   the same graph with int8 weights

Inside a graph, steps are padded and time comes first: (T, B, …), with the lengths (B,) beside them.
"""
