"""One request at the courier's door, and the answer to it: ASGI with bounds."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio

from stockade.egress.courier.fields import Fields, lowered
from stockade.egress.courier.problems import BrokenOffError, Undeliverable, problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from stockade.egress.courier.carrier import Answer

_PATIENCE = 60.0
"""Seconds between two pieces of a request's body."""


class Visit:
    """A request and the way back to whoever sent it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        self.target = self.path + b"?" + query if query else self.path
        self.fields: Fields = lowered(scope["headers"])
        self._receive = receive
        self._send = send
        self._read = anyio.Event()
        self.begun = False

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it arrives; to be read once."""
        try:
            more = True
            while more:
                with anyio.fail_after(_PATIENCE):
                    message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise BrokenOffError("the request ends before its end")
                more = message.get("more_body", False)
                if chunk := message.get("body", b""):
                    yield chunk
        finally:
            self._read.set()

    async def whole_body(self, most: int, take: Callable[[int], None] | None = None) -> bytes:
        """The body in one piece; Undeliverable if it has more than ``most`` bytes.

        ``take`` is told of each piece's size before it is kept, and may raise.
        """
        body = bytearray()
        async for chunk in self.body():
            if len(body) + len(chunk) > most:
                raise Undeliverable(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"a request of this kind has at most {most} bytes",
                )
            if take:
                take(len(chunk))
            body += chunk
        return bytes(body)

    async def gone(self) -> None:
        """Return once whoever asked has gone away, which shows after the body alone."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, fields: Fields) -> None:
        """Begin the answer."""
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the answer's body."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self, chunk: bytes = b"") -> None:
        """End the answer."""
        await self._send({"type": "http.response.body", "body": chunk})

    async def pass_on(self, answer: Answer) -> None:
        """Send an answer as it comes in."""
        await self.start(answer.status, answer.fields)
        async for chunk in answer.body:
            await self.write(chunk)
        await self.finish()

    async def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem; once the answer has begun, end it where it is."""
        if not self.begun:
            code, fields, body = problem(status, detail)
            await self.start(code, fields)
            await self.finish(body)
