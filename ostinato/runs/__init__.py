"""Run folders: one training from config to scores, complete and resumable at any moment.

config.toml           everything the run depends on; can be run again
environment.json      versions, machine, engine, and a random name of the run
audit.json            what the data contain, and what was cleaned
vocabulary.json       the encoder (tokens, or channel means) and the codec (labels, tags), fitted on train
rows.safetensors      hashes of the training and validation rows
checkpoints/          last.safetensors (to resume), best.safetensors; with training.semi, teacher.safetensors
metrics.jsonl         one line per epoch
training.log          messages with their times
model.safetensors     the complete model: what `ostinato.load` reads
predictions.*         the answers to the test split, row by row
examples.json         some inputs of the test split to try the model on
metrics.json          the scores; written last, so that it marks a finished run

folder    paths, and reading and writing these files
creation  create_run: a new folder
lock      one process at a time writes to a folder
training  start_run, resume_run; help_train, on other ranks
ranks     what the processes of a data-parallel training compare before they train
log       training.log and metrics.jsonl
finished  the results, and whether the files are those that the run wrote
rows      which rows the run was trained on
ensembles  finished runs joined to one
leaderboard  the models that `ostinato train FILE` compared, as a table and in the report
scoring   evaluate_run: a finished run on new rows
report    report.html, the model card and pictures
hub       publishing a run on the Hugging Face hub
"""

from ostinato.runs.creation import create_run
from ostinato.runs.finished import finished_metrics, is_complete
from ostinato.runs.folder import free_folder
from ostinato.runs.scoring import evaluate_run, test_rows
from ostinato.runs.training import help_train, resume_run, start_run
from ostinato.tasks.seen import seen_rows

__all__ = [
    "create_run",
    "evaluate_run",
    "finished_metrics",
    "free_folder",
    "help_train",
    "is_complete",
    "resume_run",
    "seen_rows",
    "start_run",
    "test_rows",
]
