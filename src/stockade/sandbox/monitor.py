"""Commands to a hypervisor, by QEMU's machine protocol (QMP): JSON lines over an inherited socket.

Only Stockade holds the other end. What comes back may come from a hypervisor that a guest has taken
over: lines are bounded, and so is the wait. See ``docs/interop/qmp-spec.txt`` in QEMU's source.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from stockade.model.errors import MachineError
from stockade.sandbox.calls import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE_LIMIT = 1 << 20  # bytes
_PATIENCE = 30.0  # seconds for what a healthy hypervisor does in milliseconds


class Monitor:
    """The host's end of the monitor. One command at a time; events are passed over."""

    def __init__(self, link: socket.socket) -> None:
        link.setblocking(False)
        self._link = link
        self._lock = anyio.Lock()
        self._received = bytearray()
        self._greeted = False
        self._asked = 0

    async def command(self, name: str, *, fds: Sequence[int] = (), **arguments: Any) -> Any:
        """Have a command done, open files handed over with it, and return what it gives back.

        Raises ``MachineError`` when the hypervisor refuses, does not answer or is gone.
        """
        async with self._lock:
            with anyio.move_on_after(_PATIENCE):
                if not self._greeted:
                    await self._line()
                    await self._do("qmp_capabilities", {})
                    self._greeted = True
                return await self._do(name, arguments, fds)
        raise MachineError(f"the hypervisor did not answer {name!r} within {_PATIENCE:g} s")

    async def _do(self, name: str, arguments: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        # Names of arguments have hyphens there.
        words = {key.replace("_", "-"): value for key, value in arguments.items()}
        self._asked += 1
        request = {"execute": name, "arguments": words, "id": self._asked}
        await self._send(json.dumps(request).encode(), fds)
        while True:
            answer = await self._line()
            if answer.get("id") != self._asked:
                # An event, or the answer to a command that was given up; there may be no end to it.
                await anyio.lowlevel.checkpoint()
                continue
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                said = printable(answer["error"], 200)
                raise MachineError(f"the hypervisor refused {name!r}: {said}")

    async def _send(self, line: bytes, fds: Sequence[int]) -> None:
        try:
            while True:
                try:
                    # So short a line is taken whole or not at all.
                    socket.send_fds(self._link, [line + b"\n"], list(fds))
                except BlockingIOError:
                    await anyio.wait_writable(self._link)
                else:
                    return
        except OSError as error:
            raise MachineError(f"the hypervisor is gone: {error.strerror}") from None

    async def _line(self) -> dict[str, Any]:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > _LINE_LIMIT:
                raise MachineError("the hypervisor said more than it should")
            try:
                chunk = self._link.recv(1 << 16)
            except BlockingIOError:
                await anyio.wait_readable(self._link)
                continue
            except OSError:
                chunk = b""
            if not chunk:
                raise MachineError("the hypervisor is gone")
            self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise MachineError("the hypervisor said what is no QMP")
        return answer
