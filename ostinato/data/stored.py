"""The fields of an encoder or a codec in a model file, checked before they are used."""

from collections.abc import Hashable, Iterable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ostinato.data.vocabulary import UNKNOWN_TOKEN
from ostinato.errors import RunError

HIGHEST_LENGTH = 2**31  # of a sequence, in steps

Fields = TypeVar("Fields", bound="StoredFields")


class StoredFields(BaseModel):
    """Named fields of fixed types: all of them, and no others."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read(cls: type[Fields], values: Any, name: str) -> Fields:
        """Check the values of a JSON object.

        Args:
            name: what the object describes, for messages.

        Raises:
            RunError: a field is missing, unknown, or of a wrong type; names the first.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join([name, *map(str, problem["loc"])])
            shown = "" if isinstance(problem["input"], dict) else f" ({problem['input']!r:.60})"
            message = problem["msg"].removeprefix("Value error, ")
            raise RunError(f"{field}: {message}{shown}. Save the model again.".replace("\n", " ")) from None


def distinct(values: list[Any]) -> list[Any]:
    """The same values, unless one occurs twice.

    Raises:
        ValueError: names the value.
    """
    twice = first_repeated(values)
    if twice is not None:
        raise ValueError(f"{twice!r:.60} occurs twice")
    return values


def first_repeated(values: Iterable[Hashable]) -> Hashable | None:
    """The first value that equals an earlier one; None without any."""
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def valid_text(text: str) -> str:
    """The same text, unless UTF-8 cannot encode it.

    Raises:
        ValueError: it holds half of a surrogate pair, which JSON can express.
    """
    text.encode()  # a UnicodeEncodeError is a ValueError
    return text


def _begins_with_unknown(tokens: list[str]) -> list[str]:
    if tokens[0] != UNKNOWN_TOKEN:
        raise ValueError(f"the first token is {tokens[0]!r:.60}, not {UNKNOWN_TOKEN!r}")
    return tokens


Text = Annotated[str, AfterValidator(valid_text)]
Distinct = Annotated[list[Text], AfterValidator(distinct)]
Tokens = Annotated[list[Text], Field(min_length=1), AfterValidator(_begins_with_unknown), AfterValidator(distinct)]
