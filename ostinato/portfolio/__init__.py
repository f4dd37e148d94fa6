"""`ostinato train FILE`: several models on one data file, compared on the validation split; the best becomes a run.

run        train_file, resume_search: from the file to the run folder
search     successive halving: which candidate is trained when, and for how long
ensembles  the mean of the best candidates, as one more at the end
trial      one candidate: its speed, its epochs, its training
plan       what is saved: the plan, the attempts; which one is the best

Beside the files of a run, its folder has:
portfolio.json     the plan
trials.jsonl       one line per finished training of a candidate
leaderboard.json   the candidates, the best first
candidates/        config and checkpoints of each training, until the search ends; then those of an ensemble's members

A finished training of a candidate is a run without its scores: its config and checkpoints are copied to where a run has
them, and the run is resumed, which scores it. An ensemble is written as `ostinato ensemble` writes it.
"""

from ostinato.portfolio.plan import PLAN
from ostinato.portfolio.run import resume_search, train_file

__all__ = ["PLAN", "resume_search", "train_file"]
