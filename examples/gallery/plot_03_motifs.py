"""Motifs in DNA
=============

What did the network learn? Attributions of many sequences, aligned, give the motif back as a logo. First a motif that
we planted, so that the answer is known; then splice junctions of primates, where biology knows it.
"""

# %%
# A planted motif
# ---------------

from ostinato import SequenceClassifier, explain
from ostinato.explanation import find_motifs, plot_logo, plot_profile, position_profile, recovery
from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData


def rows_of(**settings):
    """The splits of a named data set."""
    rows = TASKS["classification"].prepare(ClassificationData(**settings)).rows
    return rows["train"], rows["validation"], rows["test"]


train, validation, test = rows_of(name="dna-motif", train_size=1000, validation_size=200, test_size=200)
model = SequenceClassifier(
    cell="gru", tokenizer="nucleotides", embedding_size=16, hidden_size=32, conv_size=None, lr=5e-3, max_epochs=12,
    batch_size=32,
)  # fmt: skip
model.fit(train.sequences, train.targets, validation_data=(validation.sequences, validation.targets))
print(f"test accuracy {model.score(test.sequences, test.targets):.3f}")

# %%
# `find_motifs` takes the windows whose scores stand out, aligns them, and drops what random letters explain as well.

explanations = explain(model, test.sequences[:100], label="motif")
motifs = find_motifs(explanations, "ACGT")
print(f"found {[motif.consensus for motif in motifs]}; TATAATGC recovered: {recovery(motifs, 'TATAATGC'):.2f}")
plot_logo(motifs[0])

# %%
# Splice junctions
# ----------------
# Windows of 60 bases, with an exon's end (`ei`), its start (`ie`) or neither in the middle (Towell et al. 1991).

train, validation, test = rows_of(name="splice", train_size=800, validation_size=200, test_size=600)
model = SequenceClassifier(
    cell="gru", tokenizer="nucleotides", embedding_size=16, hidden_size=32, position="learned", dropout=0.3, lr=5e-3,
    max_epochs=10, batch_size=32,
)  # fmt: skip
model.fit(train.sequences, train.targets, validation_data=(validation.sequences, validation.targets))
print(f"test accuracy {model.score(test.sequences, test.targets):.3f}")

# %%
# The mean score of each letter at each position, for the end of an exon. Introns begin with GT, here at position 31:

donors = [text for text, label in zip(test.sequences, test.targets, strict=True) if label == "ei"][:40]
profile = position_profile(explain(model, donors, label="ei"), "ACGT")
plot_profile(profile[20:45], "ACGT", start=21)
