"""Carry bytes between a workload's connection and a stream to the host, both ways.

Memory is bounded by credit, as with the streams of a command: what the one side does not take, the
other is not asked for.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from stockade.guest.loop import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from stockade.guest.channel import Channel
    from stockade.guest.loop import Loop

_CHUNK = 1 << 18
_LINGER = b"\x01\0\0\0\0\0\0\0"  # struct linger: on, for no time; close(2) then resets
_SOL_SOCKET, _SO_LINGER, _SHUT_WR = 1, 13, 1


class Relay:
    """One connection. ``done`` is called once, when it is closed."""

    def __init__(
        self, loop: Loop, channel: Channel, end: socket, stream: int, done: Callable[[], None]
    ) -> None:
        self._loop, self._channel, self._end = loop, channel, end
        self._fd, self._stream, self._done = end.fileno(), stream, done
        self._waiting = bytearray()
        self._reading = True
        self._taking = True  # whether the host may still send
        channel.handle(stream, self)
        self._watch()

    def data(self, _stream: int, chunk: bytes | bytearray) -> None:
        """Queue what the host sends; credit bounds how much that is."""
        self._waiting += chunk
        self._write()

    def ended(self, _stream: int) -> None:
        """Close this half once all of it has been written."""
        self._taking = False
        self._write()

    def reset(self, _stream: int, _reason: str) -> None:
        """The host gives up, or refuses: so does the connection."""
        self._close(abruptly=True)

    def writable(self, _stream: int) -> None:
        """Read on: there is credit again, or room at the port."""
        self._watch()

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._write()
        if events & ~WRITE and self._fd >= 0:
            self._read()

    def _read(self) -> None:
        room = self._channel.room(self._stream)
        if not room:
            self._watch(held=True)  # until ``writable``
            return
        try:
            chunk = self._end.recv(min(room, _CHUNK))
        except BlockingIOError:
            return
        except OSError:
            self._give_up("the connection was reset")
            return
        if chunk:
            self._channel.send(self._stream, chunk)
        else:
            self._reading = False
            self._channel.end(self._stream)
            self._settle()
        self._channel.flush()

    def _write(self) -> None:
        if self._fd < 0:
            return
        written = 0
        try:
            if self._waiting:
                written = self._end.send(self._waiting)
                del self._waiting[:written]
            if not self._waiting and not self._taking:
                self._end.shutdown(_SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self._give_up("the connection was reset")
            return
        if written and self._taking:
            self._channel.connection.consumed(self._stream, written)
            self._channel.flush()
        self._settle()

    def _settle(self) -> None:
        """Close when both halves are through; otherwise wait for what is left."""
        if not self._reading and not self._taking and not self._waiting:
            self._close()
        elif self._fd >= 0:
            self._watch()

    def _watch(self, *, held: bool = False) -> None:
        if self._fd >= 0:
            events = READ if self._reading and not held else 0
            self._loop.watch(self._fd, events | (WRITE if self._waiting else 0), self._ready)

    def _give_up(self, reason: str) -> None:
        self._channel.reset(self._stream, reason)
        self._channel.flush()
        self._close(abruptly=True)

    def _close(self, *, abruptly: bool = False) -> None:
        if self._fd < 0:
            return
        self._loop.forget(self._fd)
        self._fd = -1
        with contextlib.suppress(OSError):
            if abruptly:
                self._end.setsockopt(_SOL_SOCKET, _SO_LINGER, _LINGER)
            self._end.close()
        self._done()
