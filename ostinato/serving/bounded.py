"""HTTP whose headers end, in bytes and in time; uvicorn reads them without end, from clients without a token, too."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 2**18  # of a request besides its body: headers, trailers, and the sizes of chunks
HEADERS_S = 30.0  # from the connection, or the first byte of a further request, to the end of the headers


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _besides_body = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the headers."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, or answer 400 and close."""
        if self._besides_body > MOST_BYTES:
            self._refuse(f"The headers have more than {MOST_BYTES} bytes.")
            return
        self._besides_body += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Count from the next packet on; this one may hold the end of another request."""
        self._besides_body = 0
        self._start_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Answer."""
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._besides_body -= len(body)
        super().on_body(body)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEADERS_S, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(f"No request within {HEADERS_S:g} s.")
        else:  # a further request waits until the one before is answered
            self._start_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, message: str) -> None:
        if not self.transport.is_closing():
            self.send_400_response(message)
