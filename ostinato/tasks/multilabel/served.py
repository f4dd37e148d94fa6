"""What the HTTP service asks of a multilabel classifier."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ostinato.printable import to_json
from ostinato.tasks.multilabel.portable import chosen
from ostinato.tasks.sequences.served import ServedSequences
from ostinato.tasks.served import Output


class ServedMultilabel(ServedSequences):
    """Any number of L labels; the output `label` is a JSON array of them."""

    @property
    def is_calibrated(self) -> bool:
        return bool((self.model.network.temperatures != 1).any())

    @property
    def outputs(self) -> Mapping[str, Output]:
        labels = len(self.model.codec.labels)
        return {"label": Output("BYTES", (-1,)), "probabilities": Output("FP32", (-1, labels))}

    def arrays(self, answer: Any) -> dict[str, np.ndarray]:
        reached = self.model.network.decisions(answer).cpu().numpy()
        labels = to_json(list(map(str, chosen(self.model.codec.labels, reached))))
        return {"label": np.array(labels, object), "probabilities": answer.cpu().numpy()}
