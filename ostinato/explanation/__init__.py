"""What drove a prediction, how far that picture can be believed, and what the model knows as a whole."""

from ostinato.explanation.attribution import METHODS, Explanation, explain, methods_of

__all__ = ["METHODS", "Explanation", "explain", "methods_of"]
