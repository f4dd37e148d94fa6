"""/models, /predict, /explain and /trace."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ostinato.errors import DataError
from ostinato.printable import to_json
from ostinato.serving.faults import ServiceError
from ostinato.serving.repository import Entry
from ostinato.serving.requests import ExplainBody, PredictBody, TraceBody, parsed
from ostinato.serving.service import Given, Service

MOST_TOKENS = 2000  # of a sequence that is explained or traced
MOST_NUMBERS = 2_000_000  # of a trace, some 15 MB of JSON


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response of JSON."""
    return Response(to_json(content).encode(), status, headers, "application/json")


class People:
    """The endpoints for people and for the page."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def models(self, request: Request) -> Response:
        """The models that are served, and what each of them reads and answers."""
        return json_response({"models": [entry.described() for entry in self.service.models.entries.values()]})

    async def predict(self, request: Request) -> Response:
        """Answer one sequence, as `ostinato predict` does, or several."""
        return await self._answer(self._predict(request))

    async def explain(self, request: Request) -> Response:
        """Say how much each token contributed to the answer, and how faithful that is."""
        return await self._answer(self._explain(request))

    async def trace(self, request: Request) -> Response:
        """Follow a model through a sequence: state, gates and running answer at each step."""
        return await self._answer(self._trace(request))

    async def _answer(self, work: Any) -> Response:
        return json_response(await self.service.within_time(work))

    async def _predict(self, request: Request) -> dict[str, Any]:
        asked = await parsed(request, PredictBody, self.service.limits.max_body_bytes)
        entry = self.service.models.get(asked.model)
        if asked.inputs is None:
            inputs = _given(entry, [("input", asked.input)])
        else:
            inputs = _given(entry, [(f"inputs.{number}", value) for number, value in enumerate(asked.inputs)])
        rows = self.service.rows(entry, inputs, truncate=asked.truncate)
        task, model = entry.served.model.task, entry.served.model
        answers = [task.answered_json(model, each) for each in await self.service.answers(entry, rows)]
        return {"model": entry.name, **({"answer": answers[0]} if asked.inputs is None else {"answers": answers})}

    async def _explain(self, request: Request) -> dict[str, Any]:
        asked = await parsed(request, ExplainBody, self.service.limits.max_body_bytes)
        entry, row = self._short_row(asked.model, asked.input)
        model = entry.served.model
        tokens = None if asked.token is None else [asked.token]
        explained = await self.service.thread.run_other(
            partial(model.task.explain_rows, model, [row], method=asked.method, label=asked.label, tokens=tokens)
        )
        content = explained.to_json()
        first, *others = content["explanations"] or [None]
        return {
            "model": entry.name,
            "explanation": first,
            "others": others,
            "faithfulness": content["faithfulness"],
        }

    async def _trace(self, request: Request) -> dict[str, Any]:
        asked = await parsed(request, TraceBody, self.service.limits.max_body_bytes)
        entry, row = self._short_row(asked.model, asked.input)
        model, sequence = entry.served.model, row.sequence if hasattr(row, "sequence") else row
        traced = await self.service.thread.run_other(partial(model.task.trace, model, sequence))
        layers = [
            layer
            for layer in traced.layers
            if asked.layer in (None, layer.depth)
            and asked.direction in (None, "backwards" if layer.reverse else "forwards")
        ]
        if not layers:
            known = ", ".join(layer.name for layer in traced.layers)
            raise ServiceError(
                422, f"layer {asked.layer}, direction {asked.direction}: not in this model. It has: {known}."
            )
        numbers = sum(layer.hidden.size * (1 + len(layer.gates)) for layer in layers)
        if numbers > MOST_NUMBERS:
            raise ServiceError(
                422,
                f"The trace has {numbers:,} numbers, more than the {MOST_NUMBERS:,} allowed. Choose one layer and "
                "direction, or a shorter sequence.",
            )
        content = await self.service.thread.run_other(replace(traced, layers=layers).to_json)
        return {"model": entry.name, **content}

    def _short_row(self, name: str | None, value: Any) -> tuple[Entry, Any]:
        """The model, and the row that it explains or traces.

        Raises:
            ServiceError: 404, there is no such model; 422, the sequence cannot be read or is too long.
        """
        entry = self.service.models.get(name)
        (row,) = self.service.rows(entry, _given(entry, [("input", value)]), truncate=False)
        if isinstance(row, DataError):
            raise row
        found = entry.served.count_tokens(row, MOST_TOKENS)
        if found > MOST_TOKENS:
            raise ServiceError(
                422,
                f"input: {found:,} tokens or steps; explanations and traces take at most {MOST_TOKENS:,}. Shorten it.",
            )
        return entry, row


def _given(entry: Entry, values: Sequence[tuple[str, Any]]) -> list[Given]:
    model = entry.served.model
    return [Given(source, partial(model.task.row_of_value, value, source, model)) for source, value in values]
