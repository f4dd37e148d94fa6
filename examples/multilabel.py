"""Which of four motifs are present in a DNA sequence? Any number of them, from none to all."""

import numpy as np
import typer

from ostinato import SequenceMultilabelClassifier
from ostinato.tasks.multilabel.generated import dna_motifs


def main(train_size: int = 2000, test_size: int = 500, max_epochs: int = 10) -> float:
    sequences, motifs = dna_motifs(train_size + test_size, (60, 100), np.random.default_rng(0))
    model = SequenceMultilabelClassifier(
        cell="gru",
        embedding_size=16,
        hidden_size=48,
        bidirectional=True,
        pooling="max",
        tokenizer="nucleotides",
        lr=1e-2,
        max_epochs=max_epochs,
    )
    model.fit(sequences[:train_size], motifs[:train_size])
    score = model.score(sequences[train_size:], motifs[train_size:])
    print(f"all motifs right in {score:.3f} of the test sequences")
    print(f"{sequences[-1]} has {', '.join(model.predict(sequences[-1:])[0]) or 'none'}")
    return score


if __name__ == "__main__":
    typer.run(main)
