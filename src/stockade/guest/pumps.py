"""Carry bytes between a stream and a descriptor of a workload's process.

Memory is bounded by credit: output is read from the pipe only when it can be sent, and input is
credited back to the host only when the process has taken it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stockade.guest.loop import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.guest.channel import Channel
    from stockade.guest.loop import Loop

_CHUNK = 1 << 18  # the most that credit allows: each read less is time for the command
_END_OF_FILE = b"\x04"  # what a terminal takes for the end of input (termios(3), VEOF)
_LINE_ENDS = (b"\n", b"\r", _END_OF_FILE)


class OutputPump:
    """From a descriptor to the host, until the end of the file."""

    def __init__(
        self, loop: Loop, channel: Channel, fd: int, stream: int, done: Callable[[], None]
    ) -> None:
        self._loop, self._channel = loop, channel
        self._fd, self._stream, self._done = fd, stream, done
        os.set_blocking(fd, False)
        channel.handle(stream, self)
        loop.watch(fd, READ, self._ready)

    def writable(self, _stream: int) -> None:
        """Read on: there is credit again, or room at the port."""
        if self._fd >= 0:
            self._loop.watch(self._fd, READ, self._ready)

    def data(self, stream: int, chunk: bytes | bytearray) -> None:
        """The host has nothing to say here."""
        self._channel.connection.consumed(stream, len(chunk))

    def ended(self, stream: int) -> None:
        """The host never sends on an output stream; its END is as expected."""

    def reset(self, _stream: int, _reason: str) -> None:
        """The host no longer wants the output: the process gets SIGPIPE at its next write."""
        self._close()

    def _ready(self, _events: int) -> None:
        room = self._channel.room(self._stream)
        if not room:
            self._loop.forget(self._fd)  # until ``writable``
            return
        try:
            chunk = os.read(self._fd, min(room, _CHUNK))
        except BlockingIOError:
            return
        except OSError:  # EIO: the last process has closed the terminal
            chunk = b""
        if chunk:
            self._channel.send(self._stream, chunk)
        else:
            self._channel.end(self._stream)
            self._close()
        self._channel.flush()

    def _close(self) -> None:
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._done()


class InputPump:
    """From the host to a descriptor, until either side closes."""

    def __init__(
        self, loop: Loop, channel: Channel, fd: int, stream: int, *, terminal: bool
    ) -> None:
        self._loop, self._channel = loop, channel
        self._fd, self._stream = fd, stream
        self._terminal = terminal
        self._waiting = bytearray()
        self._ended = False
        self._within_line = False
        os.set_blocking(fd, False)
        channel.handle(stream, self)

    def data(self, _stream: int, chunk: bytes | bytearray) -> None:
        """Queue what the host sends; credit bounds how much that is."""
        self._within_line = chunk[-1:] not in _LINE_ENDS
        if self._waiting:
            self._waiting += chunk
        else:  # it is ours to keep, and one copy less
            self._waiting = chunk if isinstance(chunk, bytearray) else bytearray(chunk)
        self._write(0)

    def ended(self, _stream: int) -> None:
        """Close the process's input once everything has been written."""
        self._ended = True
        if self._terminal:
            # Within a line the first one only hands the line over, without a newline.
            self._waiting += _END_OF_FILE * (1 + self._within_line)
        self._write(0)

    def reset(self, _stream: int, _reason: str) -> None:
        """The host gives up: what is not written yet is lost."""
        self.close()

    def writable(self, _stream: int) -> None:
        """Nothing is sent on an input stream."""

    def close(self) -> None:
        """Give up: the process is gone, has closed its input, or the host has."""
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _write(self, _events: int) -> None:
        if self._fd < 0:
            return
        try:
            written = os.write(self._fd, self._waiting) if self._waiting else 0
        except BlockingIOError:
            written = 0
        except OSError:  # EPIPE: the process reads no more, so the host need not send
            self.close()
            if not self._ended:
                self._channel.reset(self._stream, "the command has closed its input")
            return
        del self._waiting[:written]
        if self._waiting:
            self._loop.watch(self._fd, WRITE, self._write)
        else:
            self._loop.forget(self._fd)
        # A terminal's end-of-file byte was never received, so it is not the host's credit.
        if written and not self._ended:
            self._channel.connection.consumed(self._stream, written)
            self._channel.flush()
        if self._ended and not self._waiting and not self._terminal:
            self.close()
