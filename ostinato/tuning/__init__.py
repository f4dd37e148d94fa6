"""Hyperparameter search on the validation split, with Optuna. The test split is never scored.

search      what is searched: config, space, number of trials
study       Optuna's part: which values to try next, which trials to prune
trial       the training of one trial
loop        `tune`: trials one after another, resumable
on_cluster  trials on the nodes of a cluster, several at once
results     the trials and the best config


A search's folder:
plan.json                             config, search space, number of trials, seed
study.journal                         every trial as it happens; an interrupted search resumes from it
trials.csv, tuning.json, best.toml    the results
"""

from ostinato.tuning.loop import time_left, tune
from ostinato.tuning.results import BEST, Trial, TuningResults
from ostinato.tuning.search import Search, make_search, read_search

__all__ = ["BEST", "Search", "Trial", "TuningResults", "make_search", "read_search", "time_left", "tune"]
