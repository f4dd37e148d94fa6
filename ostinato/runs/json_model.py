"""Results and plans as frozen models, each saved as one JSON file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ostinato.errors import RunError
from ostinato.runs.folder import write_json
from ostinato.storage import check_format

if TYPE_CHECKING:
    from typing_extensions import Self  # in `typing` from Python 3.11


class JsonModel(BaseModel):
    """Named, immutable values; NaN and infinity are refused. Unknown keys of a file are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return self.model_dump(mode="json")

    def write(self, path: Path) -> None:
        """Write the fields as a JSON file, atomically.

        Raises:
            RunError: the file cannot be written.
        """
        write_json(path, self.to_json())

    @classmethod
    def from_json(cls, values: Any, source: str) -> "Self":
        """Check what `to_json` returned; `source` names the values in messages.

        Raises:
            RunError: a field is missing or has the wrong type; names each one.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'content'}: {each['msg']}" for each in error.errors()
            )
            raise RunError(f"{source}: {wrong}. Expected a file that Ostinato wrote. Copy the folder again.") from None

    @classmethod
    def read(cls, path: Path) -> "Self":
        """Read what `write` wrote.

        Raises:
            RunError: the file is missing, is not JSON, has a newer format, or a field is missing or has the wrong type.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}. Copy the folder again.") from None
        except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested too deeply
            raise RunError(f"{path}: truncated or altered: it is not JSON. Copy the folder again.") from None
        if "format" in cls.model_fields and isinstance(values, dict) and values.get("format") is not None:
            check_format(path, values["format"])
        return cls.from_json(values, str(path))
