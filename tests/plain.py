"""Arguments of estimators under which nothing is chosen from the data, for tests of something else."""

from ostinato.config import SequenceData, SequenceModel, TrainingConfig
from ostinato.tasks.tagging.config import TaggingData, TaggingModel, TaggingTraining

PLAIN = {**SequenceData.OLD_DEFAULTS, **SequenceModel.OLD_DEFAULTS, **TrainingConfig.OLD_DEFAULTS}
PLAIN_TAGGER = {**TaggingData.OLD_DEFAULTS, **TaggingModel.OLD_DEFAULTS, **TaggingTraining.OLD_DEFAULTS}
