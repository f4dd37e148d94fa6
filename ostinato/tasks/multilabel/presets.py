"""Named, complete configurations: one plain function each. `ostinato train NAME` runs one."""

from collections.abc import Callable, Mapping

from ostinato.config import SequenceModel
from ostinato.tasks.multilabel.config import MultilabelConfig, MultilabelData, MultilabelTraining


def dna_motifs() -> MultilabelConfig:
    """Which of four motifs are present? A bidirectional GRU with max pooling."""
    return MultilabelConfig(
        data=MultilabelData.with_old_defaults(name="dna-motifs", train_size=4000, validation_size=500, test_size=1000),
        model=SequenceModel.with_old_defaults(
            cell="gru", embedding_size=16, hidden_size=48, bidirectional=True, pooling=["max"]
        ),
        training=MultilabelTraining.with_old_defaults(max_epochs=8, batch_size=64, lr=1e-2),
    )


PRESETS: Mapping[str, Callable[[], MultilabelConfig]] = {"dna-motifs": dna_motifs}
