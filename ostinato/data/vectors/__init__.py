"""Pretrained word vectors, read only for the tokens of a vocabulary.

lookup                  read_vectors: from a name or a file to one row per token
text, binary, arrays    the file formats, each as a stream of the needed words; memory does not grow with the file
problems                malformed lines: refuse the file, or skip and count them
"""

from ostinato.data.vectors.lookup import NAMED, Vectors, read_vectors

__all__ = ["NAMED", "Vectors", "read_vectors"]
