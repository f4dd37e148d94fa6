"""Pretrained word vectors, read for the tokens of a vocabulary alone.

lookup                  read_vectors: from a name or a file to one row a token
text, binary, arrays    the files, each as a stream of the words that are needed; memory does not grow with the file
faults                  what becomes of a line that cannot be used
"""

from ostinato.data.vectors.lookup import NAMED, Vectors, read_vectors

__all__ = ["NAMED", "Vectors", "read_vectors"]
