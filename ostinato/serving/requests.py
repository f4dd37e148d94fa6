"""The bodies of requests, checked; all faults at once."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from starlette.requests import ClientDisconnect, Request

from ostinato.serving.faults import ServiceError, refuse_all

MOST_FAULTS = 1000  # that are listed; millions of them would take gigabytes
DISCARDED = 16  # times the largest body that are read and thrown away, so that the client reads the refusal


def _sequence(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise ValueError("Input should be a text or a list")
    return value


Sequence = Annotated[
    Any, AfterValidator(_sequence), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {}}]})
]


class Body(BaseModel):
    """A request of people: unknown keys are refused, since they are probably misspelt."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = Field(None, description="The model's name; not needed if a single model is served.")


class PredictBody(Body):
    """A sequence, or several, to answer."""

    input: Sequence = Field(None, validate_default=False, description="A text, or a list of tokens or numbers.")
    inputs: list[Sequence] | None = Field(
        None,
        min_length=1,
        fail_fast=True,  # each fault would keep its exception: 1 MB of wrong inputs took 0.6 GB
        description="Several of them.",
    )
    truncate: bool = Field(False, description="Cut sequences that are longer than the service allows.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "PredictBody":
        if ("input" in self.model_fields_set) == (self.inputs is not None):
            raise ValueError("Give either input or inputs")
        return self


class ExplainBody(Body):
    """A sequence whose answer is explained."""

    input: Sequence
    method: str = Field("integrated-gradients", description="One of the model's explanation_methods.")
    label: str | None = Field(None, description="The label to explain; by default the predicted one.")
    token: int | None = Field(None, ge=0, description="For taggers: the word to explain, counted from 0.")


class TraceBody(Body):
    """A sequence through which a model is followed."""

    input: Sequence
    layer: int | None = Field(None, ge=1, description="Only this layer, counted from 1.")
    direction: Literal["forwards", "backwards"] | None = Field(None, description="Only this direction.")


Parsed = TypeVar("Parsed", bound=BaseModel)


async def parsed(request: Request, kind: type[Parsed], max_bytes: int) -> Parsed:
    """The body of a request.

    Raises:
        ServiceError: 413, it is too large; 400, it is not JSON; 422, it has other fields, with all faults.
    """
    return checked(await _read(request, max_bytes), kind, "The body")


def checked(content: bytes | str, kind: type[Parsed], name: str) -> Parsed:
    """JSON of that kind.

    Args:
        name: of the content, for messages.

    Raises:
        ServiceError: 400, it is not JSON; 422, it has other fields, with all faults.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        if error.error_count() > MOST_FAULTS:
            raise ServiceError(
                422, f"{name} has {error.error_count():,} faults, too many to list. Send fewer inputs at once."
            ) from None
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        raise ServiceError(400, f"{name} is not JSON: {faults[0]['msg']}.")
    refuse_all([_sentence(fault["loc"], fault["msg"]) for fault in faults])
    raise AssertionError("a validation error has faults")


def _sentence(path: tuple[int | str, ...], message: str) -> str:
    where, said = ".".join(map(str, path)), message.removeprefix("Value error, ")
    return f"{where}: {said}." if where else f"{said}."


async def _read(request: Request, max_bytes: int) -> bytes:
    body, size = bytearray(), 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > DISCARDED * max_bytes:
                break
            if size <= max_bytes:
                body += chunk
    except ClientDisconnect:
        raise ServiceError(400, "The connection ended before the body did. Send all of it.") from None
    if size > max_bytes:
        raise ServiceError(
            413, f"The body has more than the {max_bytes:,} bytes allowed (--max-body-bytes). Send less at once."
        )
    return bytes(body)
