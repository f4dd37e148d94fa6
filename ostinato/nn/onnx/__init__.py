"""Layers as ONNX graphs: written node by node, not traced, so that batch and length stay dynamic.

graph      a graph under construction, and the small operations that all layers use
recurrent  recurrent layers: ONNX's LSTM, GRU and RNN, and Scan for the other cells
layers     embeddings, convolutions and stacks
pooling    poolings and the output layer

Inside a graph, steps are padded and time comes first: (T, B, …), with the lengths (B,) beside them.
"""
