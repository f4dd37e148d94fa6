"""Learning from sequences without labels; a task's model starts from the result with `model.init`.

config     the config of a pre-training
reading    sequences of files, text and named sets
corpus     cleaned, split and encoded
objective  the network, its loss, and what it is compared with
contexts   the objectives that learn token vectors alone
negatives  which tokens are drawn as negatives
batches    held-out sequences in batches
run        a folder: `pretrain`, `start_pretraining`, `resume_pretraining`
report     its page
"""
