"""What every task's metrics share: `Metrics` holds the values, `Metric` describes one of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ostinato.errors import RunError

if TYPE_CHECKING:
    from typing_extensions import Self  # in `typing` from Python 3.11


@dataclass(frozen=True)
class Metric:
    """One metric that models can be compared by.

    Args:
        name: the field of `Metrics` that holds it.
        higher_is_better: False for losses and errors.
        scale: a difference is multiplied by this before it is shown: 100 turns a share into percentage points.
        unit: of a difference that is shown; empty: the unit of the targets.
        bounds: the smallest and largest value.
    """

    name: str
    higher_is_better: bool = True
    scale: float = 100
    unit: str = "points"
    bounds: tuple[float, float] = (0.0, 1.0)

    def text(self, value: float) -> str:
        """A value in a table: three decimals, or four digits where it is in the unit of the targets."""
        return f"{value:.3f}" if self.unit else f"{value:.4g}"

    def difference_text(self, difference: float) -> str:
        """A difference in a table, scaled, with its sign: two decimals, or three digits in the unit of the targets."""
        return f"{self.scale * difference:+.2f}" if self.unit else f"{self.scale * difference:+.3g}"


class Scores(BaseModel):
    """Named, immutable values; NaN and infinity are refused, an undefined value is None."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Versus(Scores):
    """A run's model and a baseline, compared on the same test rows.

    Args:
        difference: the model's score minus that of the baseline.
        interval: of the difference, 95 %.
        p: two-sided, for the hypothesis of no difference; of this pair alone, not corrected for others.
        test: its name.
    """

    difference: float
    interval: tuple[float, float]
    p: float
    test: str


class Metrics(Scores):
    """Metrics of one model on one split; each task adds its own fields.

    Args:
        n: examples that were scored.
        intervals: 95 % interval (low, high) of each metric that has one.
        description: of a baseline, its features and model; None for other models.
        validation_score: of a baseline, its main metric on the validation split; None for other models.
        versus: of a fitted baseline, how the run's model compares with it by that metric; None for other models.
    """

    n: int
    intervals: dict[str, tuple[float, float]] = {}
    description: str | None = None
    validation_score: float | None = None
    versus: Versus | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, as `metrics.json` holds them; an undefined metric is None (null)."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Self":
        """Read what `to_json` wrote. Unknown keys are ignored, so files from other versions can be read.

        Raises:
            RunError: a field is missing or has the wrong type; names each one.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise RunError(f"{cls.__name__}: {wrong}. Expected metrics as `to_json` writes them.") from None
