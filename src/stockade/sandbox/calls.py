"""Requests to a machine's agent: one JSON message there, a few back. See ``guest/agent.py``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio

from stockade.model.errors import MachineError, RequestError
from stockade.wire.errors import ProtocolError
from stockade.wire.messages import MessageReader, encode_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.sandbox.channel import Channel, Stream

_ANSWER_LIMIT = 64 * 1024  # bytes; the agent's answers are a few hundred
_PATIENCE = 60.0  # seconds for an answer that a healthy agent gives in milliseconds


class Call:
    """One request, open for its answers and for words about it, such as signals."""

    def __init__(self, channel: Channel) -> None:
        self._stream: Stream = channel.open(b"call")
        self._reader = MessageReader(_ANSWER_LIMIT)
        self._answers: list[dict[str, Any]] = []

    async def say(self, message: dict[str, Any]) -> None:
        """Send the request itself, or a word about it; lost when the call is over already."""
        try:
            await self._stream.send(encode_message(message))
        except BrokenPipeError:
            return

    async def answer(self) -> dict[str, Any]:
        """Return the next answer; raise ``RequestError`` if it says that the request failed."""
        while not self._answers:
            chunk = await self._stream.receive()
            if not chunk:
                raise MachineError("the machine left a request without an answer")
            try:
                self._answers += self._reader.feed(chunk)
            except ProtocolError as error:
                raise MachineError(f"the machine broke the protocol: {error}") from None
        answer = self._answers.pop(0)
        if answer.get("event") == "failed":
            raise RequestError(
                f"the machine refused: {printable(answer.get('message'))}",
                kind=printable(answer.get("kind")),
            )
        return answer

    def end(self) -> None:
        """Say that no more words follow; answers still come."""
        self._stream.end()

    def abandon(self, reason: str) -> None:
        """Drop the request; the agent kills what it started for it."""
        self._stream.abandon(reason)


@contextmanager
def patience() -> Iterator[None]:
    """Raise ``MachineError`` when the body takes longer than any healthy agent needs to answer."""
    with anyio.move_on_after(_PATIENCE) as scope:
        yield
    if scope.cancelled_caught:
        raise MachineError(f"the machine did not answer within {_PATIENCE:g} s")


async def call(channel: Channel, **request: Any) -> dict[str, Any]:
    """Ask one thing and return the one answer."""
    asked = Call(channel)
    try:
        with patience():
            await asked.say(request)
            asked.end()
            return await asked.answer()
    except BaseException:
        asked.abandon("no longer wanted")
        raise


def printable(value: object, limit: int = 500) -> str:
    """Text from inside the wall, safe to show in one line."""
    return "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)[:limit]
    )
