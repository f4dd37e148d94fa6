"""Seconds to read the IMDb reviews, and to fit a vocabulary on 20,000 of them and encode them.

python benchmarks/encoding.py
"""

import time

import typer

from ostinato.data.encoder import SequenceEncoder
from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.sequences.dataset import load_dataset


def main(reviews: int = 20_000) -> None:
    """Run each stage once and print its time."""
    config = ClassificationData(name="imdb", train_size=reviews, validation_size=0, test_size=1000)
    start = time.perf_counter()
    train = load_dataset(config, LabelTarget(), TASKS["classification"].datasets).splits["train"]
    read = time.perf_counter()
    encoder = SequenceEncoder.fit(train.sequences, tokenizer="words", min_count=2)
    fitted = time.perf_counter()
    encoded = encoder.encode(train.sequences)
    done = time.perf_counter()
    assert encoder.vocabulary is not None
    print(f"read, cleaned and split  {read - start:5.1f} s")
    print(f"vocabulary fitted        {fitted - read:5.1f} s   {len(encoder.vocabulary):,} tokens")
    print(f"encoded                  {done - fitted:5.1f} s   {len(encoded.values):,} tokens of {reviews:,} reviews")


if __name__ == "__main__":
    typer.run(main)
