"""The agent's end of the channel: bytes of the virtio port in, wire events out, and back.

Each stream has one handler. Whoever sends asks ``room`` first, so what waits for a slow host stays
bounded whatever the workload prints.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING

from stockade.guest.loop import READ, WRITE
from stockade.wire import events
from stockade.wire.connection import Connection, Role
from stockade.wire.errors import StreamClosedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from stockade.guest.loop import Loop

    class Handler(Protocol):
        """What one stream's user must answer to."""

        def data(self, stream: int, chunk: bytes | bytearray) -> None:
            """Take the next bytes of the stream."""

        def ended(self, stream: int) -> None:
            """Note that the host sends no more."""

        def reset(self, stream: int, reason: str) -> None:
            """Note that the host has abandoned the stream."""

        def writable(self, stream: int) -> None:
            """Note that more may be sent, from the next turn of the loop on."""


_CHUNK = 1 << 16
_BACKLOG = 1 << 18  # bytes waiting for the port beyond which producers pause
# The driver gives at most one page a read and takes at most 32 KiB a write
# (drivers/char/virtio_console.c in the kernel's source).
_READ, _WRITE = 1 << 12, 1 << 15
_SMALL = 1 << 12  # bytes up to which joining parts costs less than one more write


class Channel:
    """Streams over one virtio port, after the bytes of ``preface``."""

    def __init__(
        self,
        loop: Loop,
        port: int,
        accept: Callable[[int, bytes | bytearray], Handler],
        *,
        preface: bytes = b"",
    ) -> None:
        self._loop = loop
        self._port = port
        self._accept = accept
        self.connection = Connection(Role.GUEST)
        self._handlers: dict[int, Handler] = {}
        self._half_closed: set[int] = set()
        self._buffer = bytearray(_CHUNK)
        self._waiting: deque[bytes | memoryview] = deque([preface] if preface else [])
        self._waiting_size = len(preface)
        self._refused = False  # whether anybody waits for room at the port
        self.connection.start()
        self.flush()

    def abandon(self, reason: str) -> None:
        """Have every stream's handler take it for reset; the port is for the next channel."""
        handlers, self._handlers = self._handlers, {}
        for stream, handler in handlers.items():
            handler.reset(stream, reason)

    def handle(self, stream: int, handler: Handler) -> None:
        """Make ``handler`` the user of ``stream`` from now on."""
        self._handlers[stream] = handler

    def room(self, stream: int) -> int:
        """Bytes that may be sent on ``stream`` now; ``writable`` tells when that was 0 and grew."""
        if self._waiting_size >= _BACKLOG:
            self._refused = True
            return 0
        return self.connection.sendable(stream)

    def send(self, stream: int, data: bytes) -> None:
        """Send ``data``, for which there is ``room``; lost if the host has just reset it."""
        with contextlib.suppress(StreamClosedError):
            self.connection.send(stream, data)

    def end(self, stream: int) -> None:
        """Say that nothing more will be sent on ``stream``."""
        with contextlib.suppress(StreamClosedError):
            self.connection.end(stream)
        self._close_half(stream)

    def reset(self, stream: int, reason: str) -> None:
        """Abandon ``stream`` in both directions; its handler hears no more of it."""
        self._handlers.pop(stream, None)
        self._half_closed.discard(stream)
        self.connection.reset(stream, reason)

    def flush(self) -> None:
        """Write what the connection has to say, as far as the port takes it."""
        waiting = self._waiting
        for part in self.connection.take_output():
            self._waiting_size += len(part)
            if waiting and len(waiting[-1]) + len(part) <= _SMALL:
                waiting[-1] = b"".join((waiting[-1], part))
            else:  # never copied: under emulation that costs as much as the write
                waiting.append(part)
        with contextlib.suppress(BlockingIOError):
            while waiting:
                view = memoryview(waiting[0])
                written = os.write(self._port, view[:_WRITE])
                self._waiting_size -= written
                if written < len(view):
                    waiting[0] = view[written:]
                else:
                    waiting.popleft()
        self._loop.watch(self._port, READ | (WRITE if waiting else 0), self._ready)
        if self._refused and self._waiting_size < _BACKLOG:
            self._refused = False
            for stream, handler in list(self._handlers.items()):
                handler.writable(stream)

    def _ready(self, ready: int) -> None:
        if ready & READ:
            self._receive()
        self.flush()

    def _receive(self) -> None:
        with memoryview(self._buffer) as view:
            count = self._fill(view)
            if count == 0:
                return
            received = self.connection.receive(view[:count])
        for event in received:
            self._dispatch(event)

    def _fill(self, view: memoryview) -> int:
        """Read what the port has, page by page; serving each page by itself takes twice as long."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while count < _CHUNK:
                size = os.readv(self._port, [view[count:]])
                if size == 0 and count == 0:
                    self._loop.stop()  # the host has closed its end: nobody is left to work for
                count += size
                if size < _READ:
                    break
        return count

    def _dispatch(self, event: events.Event) -> None:
        if isinstance(event, events.PeerReady):
            return
        if isinstance(event, events.StreamOpened):
            self._handlers[event.stream] = self._accept(event.stream, event.payload)
            return
        handler = self._handlers.get(event.stream)
        if handler is None:  # abandoned by an earlier event of the same read
            return
        if isinstance(event, events.DataReceived):
            handler.data(event.stream, event.data)
        elif isinstance(event, events.StreamWritable):
            handler.writable(event.stream)
        elif isinstance(event, events.StreamEnded):
            handler.ended(event.stream)
            self._close_half(event.stream)
        elif isinstance(event, events.StreamReset):
            self._half_closed.discard(event.stream)
            self._handlers.pop(event.stream).reset(event.stream, event.reason)

    def _close_half(self, stream: int) -> None:
        if stream in self._half_closed:
            self._half_closed.remove(stream)
            self._handlers.pop(stream, None)
        elif stream in self._handlers:
            self._half_closed.add(stream)


def drain(loop: Loop, port: int) -> None:
    """Drop what lies in the port, if it is watched: it was for somebody else."""
    while loop.readable(port) and os.read(port, _CHUNK):
        pass
