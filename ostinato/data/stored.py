"""The fields of an encoder or a codec in a model file, checked before they are used."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ostinato.errors import RunError

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
            shown = "" if problem["type"] == "missing" else f" ({problem['input']!r:.60})"
            raise RunError(f"{field}: {problem['msg']}{shown}. Save the model again.".replace("\n", " ")) from None
