"""What the HTTP service asks of a classifier."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ostinato.tasks.sequences.served import ServedSequences
from ostinato.tasks.served import Output


class ServedClassifier(ServedSequences):
    """One of C labels."""

    @property
    def is_calibrated(self) -> bool:
        return bool(self.model.network.temperature != 1)

    @property
    def outputs(self) -> Mapping[str, Output]:
        labels = len(self.model.codec.labels)
        return {"label": Output("BYTES", (-1,)), "probabilities": Output("FP32", (-1, labels))}

    def arrays(self, answer: Any) -> dict[str, np.ndarray]:
        label = self.model.codec.labels[int(answer.argmax())]
        return {"label": np.array(str(label), object), "probabilities": answer.cpu().numpy()}
