"""Data larger than memory: rows and their tokens in files, of which a process holds only what it reads at the moment.

folder      where they are kept, each content once
arrays      arrays in files: writing them piece by piece, reading them through the system's cache
codes       columns of few different values
sequences   the raw sequences of a data file, and where each comes from
tokens      encoded sequences, and the encoders that were fitted
"""
