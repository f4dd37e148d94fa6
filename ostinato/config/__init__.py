"""The configuration of a run: the tables that tasks share, and how they are read, changed, checked and written.

tables     [data], [model] and [training]
sequences  what tasks with one target per sequence add to them
names      which cells, formats and tokenizers there are
semi       what tasks add that can learn from rows without labels
renamed    keys of version 0.1
memory     how much of it is available, and a refusal of sizes that need more
reading    mappings and TOML in, TOML and JSON Schema out; `ostinato.tasks.config` applies it to the tasks' configs
"""

from ostinato.config.reading import to_commented_toml, to_toml, toml_value
from ostinato.config.semi import SemiConfig, SemiTraining, UnlabelledData
from ostinato.config.sequences import SequenceData, SequenceModel
from ostinato.config.tables import (
    AUTO,
    Config,
    DataConfig,
    ModelConfig,
    OrAuto,
    Range,
    Table,
    TrainingConfig,
)

__all__ = [
    "AUTO",
    "Config",
    "DataConfig",
    "ModelConfig",
    "OrAuto",
    "Range",
    "SemiConfig",
    "SemiTraining",
    "SequenceData",
    "SequenceModel",
    "Table",
    "TrainingConfig",
    "UnlabelledData",
    "to_commented_toml",
    "to_toml",
    "toml_value",
]
