"""/stream: one sequence in pieces over a WebSocket, and the answer after each piece."""

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from ostinato.errors import OstinatoError, RunError
from ostinato.serving.conversation import CODES, INTERNAL, NORMAL, POLICY, Conversation, Places
from ostinato.serving.faults import ServiceError, refusal_of
from ostinato.serving.repository import Entry
from ostinato.serving.requests import Sequence, checked
from ostinato.serving.service import Service
from ostinato.tasks.portable import StreamAnswer, refuse_threshold
from ostinato.tasks.stream import Stream

ROUTE = "/stream"
MOST_UNKNOWN = 32  # connections that have not sent their token yet
PARAMETERS = ("model", "threshold")
THRESHOLD = 0.9  # of `decided`


class StreamMessage(BaseModel):
    """What a client sends: one of these at a time."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: str | None = Field(None, description="First, if the service needs a token and the header has none.")
    state: dict[str, Any] | Literal[True] | None = Field(None, description="A state to restore; true asks for it.")
    push: Sequence = Field(None, validate_default=False, description="A piece: text, or a list of tokens or steps.")
    finish: Literal[True] | None = Field(None, description="The sequence ends here.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "StreamMessage":
        if len(self.model_fields_set) != 1:
            raise ValueError("Send exactly one of token, state, push and finish")
        (name,) = self.model_fields_set
        if getattr(self, name) is None:
            raise ValueError(f"{name} is null")
        return self


@dataclass
class Session:
    """A stream that a client has opened; it keeps the version of the model that it began with.

    Args:
        threshold: the probability from which an answer is decided.
        steps: that the stream has read.
    """

    entry: Entry
    stream: Stream
    threshold: float
    steps: int = 0


class Streams:
    """The endpoint /stream."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._unknown = Places(MOST_UNKNOWN)

    async def upgrade(self, request: Request) -> Response:
        """Open a WebSocket here to send one sequence in pieces, and get the answer after each piece."""
        raise ServiceError(426, f"{ROUTE} is a WebSocket. Connect with ws:// or wss://.", {"Upgrade": "websocket"})

    async def converse(self, socket: WebSocket) -> None:
        """Answer the messages of one WebSocket, and close it."""
        with self.service.draining.conversation():
            await self._converse(socket)

    async def _converse(self, socket: WebSocket) -> None:
        await socket.accept()
        conversation = Conversation(socket, self.service.limits, self.service.draining)
        code: int | None = INTERNAL  # what the client reads if this fails unexpectedly
        try:
            code = await self._until_closed(socket, conversation)
        except WebSocketDisconnect:
            code = None
        finally:
            if code is not None:
                with suppress(WebSocketDisconnect):
                    await conversation.close(code)

    async def _until_closed(self, socket: WebSocket, conversation: Conversation) -> int:
        """The conversation; returns the code to close with."""
        try:
            refuse_other_sites(socket)
            await self._admit(socket, conversation)
            with self.service.streams.one(), self.service.measured.open_stream():
                await self._answer_all(await self._open(socket), conversation)
        except OstinatoError as error:
            refusal = refusal_of(error)
            await conversation.send({"error": str(refusal)})
            return CODES.get(refusal.status, POLICY)
        return NORMAL

    async def _admit(self, socket: WebSocket, conversation: Conversation) -> None:
        """Ask for the token, unless it is in the header.

        Raises:
            ServiceError: 401, it is missing or wrong; 408, it did not come.
        """
        if self.service.admits(socket.headers.get("authorization")):
            return
        missing = 'The token is missing or wrong. Send {"token": "TOKEN"} first, or the header Authorization.'
        if "authorization" in socket.headers:
            raise ServiceError(401, missing)
        with self._unknown.one():
            text = await conversation.receive(self.service.limits.timeout_s, missing)
        if not self.service.admits(f"Bearer {checked(text, StreamMessage, 'The message').token}"):
            raise ServiceError(401, missing)

    async def _open(self, socket: WebSocket) -> Session:
        """The stream that the address asks for.

        Raises:
            ServiceError: 404, there is no such model; 422, it cannot stream, or a parameter is wrong.
        """
        parameters = socket.query_params
        for name in parameters:
            if name not in PARAMETERS:
                raise ServiceError(422, f"{name!r:.60}: unknown parameter. Choose from: {', '.join(PARAMETERS)}.")
        entry = self.service.models.get(parameters.get("model"))
        if entry.obstacle is not None:
            raise ServiceError(422, entry.obstacle)
        threshold = threshold_of(parameters.get("threshold"))
        model = entry.served.model
        stream = await self.service.within_time(self.service.thread.run(partial(model.task.stream, model)))
        return Session(entry, stream, threshold)

    async def _answer_all(self, session: Session, conversation: Conversation) -> None:
        """Answer messages until the sequence ends.

        Raises:
            ServiceError: the stream cannot go on.
        """
        idle_s = self.service.limits.stream_idle_s
        idle = f"No message for {idle_s:g} s (--stream-idle-s). Open another stream, and restore the state there."
        is_finished = False
        while not is_finished:
            text = await conversation.receive(idle_s, idle)
            start, status = time.perf_counter(), 500
            try:
                message = checked(text, StreamMessage, "The message")
                answer = await self.service.within_time(self.service.thread.run(partial(self._reply, session, message)))
                is_finished, status = message.finish is not None, 200
            except OstinatoError as error:
                refusal = refusal_of(error)
                status = refusal.status
                if status != 422:
                    raise refusal from None
                answer = {"error": str(refusal)}  # the stream is as it was
            finally:
                self.service.measured.request(ROUTE, status, time.perf_counter() - start)
            await conversation.send(answer)

    def _reply(self, session: Session, message: StreamMessage) -> dict[str, Any]:
        """The reply to a message; on the inference thread.

        Raises:
            ServiceError: 413, the sequence is too long; 422, the state is not one of this model, or a token.
            OstinatoError: the piece cannot be read.
        """
        stream = session.stream
        if message.token is not None:
            raise ServiceError(422, "token: not needed any more. Send push, state or finish.")
        if isinstance(message.state, dict):
            return {"steps": self._restore(session, message.state)}
        if message.state is not None:
            return {"state": stream.state()}
        answer = stream.finish() if message.finish else self._push(session, message.push)
        return {"answer": answer.json, "steps": answer.steps, "decided": decided(session, answer)}

    def _restore(self, session: Session, state: dict[str, Any]) -> int:
        """Continue from a state; returns the steps that its stream had read."""
        try:
            session.stream.restore(state)
        except RunError as error:
            raise ServiceError(422, str(error)) from None
        session.steps = state["steps"]
        self._refuse_long(session, state["text"])
        return session.steps

    def _push(self, session: Session, piece: Any) -> StreamAnswer:
        self._refuse_long(session, piece)
        answer = session.stream.push(piece)
        session.steps = answer.steps
        self._refuse_long(session, "")
        return answer

    def _refuse_long(self, session: Session, piece: Any) -> None:
        """Refuse to read a piece with which the sequence is certainly too long.

        Raises:
            ServiceError: 413.
        """
        most = self.service.limits.max_length
        found = session.entry.served.count_in_piece(piece, most - session.steps)
        steps = session.steps + max(found - 1, 0)  # the first token may only continue the last one
        if steps > most:
            raise ServiceError(413, f"{steps:,} tokens or steps, more than the {most:,} allowed (--max-length).")


def refuse_other_sites(socket: WebSocket) -> None:
    """Refuse the pages of other web sites: browsers let any of them open a WebSocket.

    Raises:
        ServiceError: 403.
    """
    origin = socket.headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != socket.headers.get("host", "").lower():
        raise ServiceError(403, f"Pages of {origin!r:.100} may not open streams. Connect from the service's own page.")


def threshold_of(given: str | None) -> float:
    """The probability from which an answer is decided.

    Raises:
        ServiceError: 422, it is not one.
    """
    try:
        threshold = THRESHOLD if given is None else float(given)
    except ValueError:
        raise ServiceError(422, f"threshold: {given!r:.60}. Expected a number above 0 and at most 1.") from None
    refuse_threshold(threshold)
    return threshold


def decided(session: Session, answer: StreamAnswer) -> bool | None:
    """Whether reading could stop; None if the model has no probability of a whole sequence."""
    return None if answer.confidence is None else session.stream.decided(session.threshold)
