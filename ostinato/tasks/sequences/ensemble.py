"""Ensembles of models with one target per sequence."""

from collections.abc import Sequence
from typing import ClassVar

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.joined import JoinedEncoder
from ostinato.errors import ConfigError
from ostinato.nn.ensemble import Ensemble
from ostinato.printable import shortened
from ostinato.tasks.ensembles import Joining
from ostinato.tasks.records import Model

LONGEST = 300  # characters of the names in a message


class SequenceJoining(Joining):
    """Joins models with one target per sequence; they may read different tokens."""

    network_type: ClassVar[type[Ensemble]]

    def join(self, members: Sequence[Model], names: Sequence[str]) -> Model:
        first = members[0]
        for name, other in zip(names[1:], members[1:], strict=True):
            self.refuse_other_targets(first, other, (name, names[0]))
            _refuse_other_input(first.encoder, other.encoder, (name, names[0]))
        encoders = {_key(member.encoder): member.encoder for member in members}
        order, parts = list(encoders), list(encoders.values())
        network = self.network_type(
            num_outputs=first.network.head.out_features,
            members=[member.network for member in members],
            encodings=[order.index(_key(member.encoder)) for member in members],
        )
        encoder = parts[0] if len(parts) == 1 else JoinedEncoder.of(parts)
        network = network.to(first.network.device).eval()
        return Model(first.task, first.config, encoder, first.codec, network, tuple(members))

    def refuse_other_targets(self, first: Model, other: Model, names: tuple[str, str]) -> None:
        """Refuse a member with other targets than the first.

        Args:
            names: of the other and of the first, for messages.

        Raises:
            ConfigError: names the targets that differ.
        """
        expected, found = list(first.codec.names), list(other.codec.names)
        if expected == found:
            return
        more = [repr(target) for target in found if target not in expected]
        missing = [repr(target) for target in expected if target not in found]
        problems = [f"also has {', '.join(more)}"] * bool(more) + [f"lacks {', '.join(missing)}"] * bool(missing)
        problem = shortened(" and ".join(problems) or f"has them in the order {found}", LONGEST)
        raise ConfigError(
            f"{names[0]}: its targets differ from those of {names[1]}: it {problem}. Join models with the same targets."
        )


def _key(encoder: SequenceEncoder) -> str:
    """Equal for encoders that encode alike; `longest` does not change how."""
    return repr({**encoder.to_json(), "longest": None})


def _refuse_other_input(first: SequenceEncoder, other: SequenceEncoder, names: tuple[str, str]) -> None:
    """Refuse a member that cannot read what the first reads.

    Raises:
        ConfigError: one reads tokens and the other series, or series of other channels.
    """
    if first.channels != other.channels:
        raise ConfigError(
            f"{names[0]}: reads {_described(other)}, and {names[1]} {_described(first)}. Join models that read the "
            "same sequences."
        )


def _described(encoder: SequenceEncoder) -> str:
    return f"tokens ({encoder.tokenizer})" if encoder.channels is None else f"series of {encoder.channels} channels"
