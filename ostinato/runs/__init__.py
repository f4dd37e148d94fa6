"""Run folders: one training from config to scores, complete and resumable at any moment.

config.toml           everything the run depends on; can be run again
environment.json      versions, machine, engine
audit.json            what the data contain, and what was cleaned
vocabulary.json       the encoder (tokens, or channel means) and the codec (labels, tags), fitted on train
checkpoints/          last.safetensors (to resume), best.safetensors
metrics.jsonl         one line per epoch
training.log          messages with their times
model.safetensors     the complete model: what `ostinato.load` reads
predictions.*         the answers to the test split, row by row
metrics.json          the scores; written last, so that it marks a finished run

folder    making and reading these files
training  start_run, resume_run
scoring   evaluate_run: a finished run on new rows
report    report.html, the model card and pictures
"""

from ostinato.runs.folder import finished_metrics, free_folder
from ostinato.runs.scoring import evaluate_run, test_rows
from ostinato.runs.training import resume_run, start_run

__all__ = ["evaluate_run", "finished_metrics", "free_folder", "resume_run", "start_run", "test_rows"]
