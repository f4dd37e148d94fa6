"""What the HTTP service asks of a regressor."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ostinato.tasks.sequences.served import ServedSequences
from ostinato.tasks.served import Output


class ServedRegressor(ServedSequences):
    """A number for each of K targets, and Q quantiles of each if the model predicts any."""

    is_calibrated = False

    @property
    def outputs(self) -> Mapping[str, Output]:
        targets, levels = len(self.model.codec.names), len(self.model.network.levels)
        outputs = {"prediction": Output("FP64", (-1, targets))}
        return outputs | ({"quantiles": Output("FP64", (-1, targets, levels))} if levels > 1 else {})

    def arrays(self, answer: Any) -> dict[str, np.ndarray]:
        network, rows = self.model.network, answer.unsqueeze(0)
        found = {"prediction": network.predictions(rows), "quantiles": network.quantiles(rows)}
        return {name: found[name][0].cpu().numpy() for name in self.outputs}
