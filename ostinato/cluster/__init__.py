"""Many runs, and the prediction of many files, on the machines of a Ray cluster.

connection  what `--on` names: a cluster to join, or one that starts on this machine and ends with the command
nodes       the nodes, and how they are shared
pool        calls of a function on the nodes, and their results as they arrive
folders     run folders on their way between machines
files       which files are predicted, and where their answers are written
prediction  predicts the files that have no answers yet
answering   what a node does with one file
"""

from ostinato.cluster.connection import check_on, connected
from ostinato.cluster.nodes import Cluster

__all__ = ["Cluster", "check_on", "connected"]
