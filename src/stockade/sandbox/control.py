"""What other processes may ask of the one that owns a machine: pause it, resume it, save it.

The owner listens on a socket in the machine's folder, which nobody else can enter. One request, one
answer, a JSON line each: ``{"op": "pause"}``, ``{"op": "resume"}`` or ``{"op": "checkpoint",
"folder": ...}``; ``{}``, or ``{"error": ..., "hint": ...}``.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from stockade.model.errors import StockadeError
from stockade.sandbox import checkpoints, registry
from stockade.sandbox.converse import first_cause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from stockade.sandbox.sandbox import Sandbox

_SOCKET = "control"
_LINE_LIMIT = 1 << 16  # bytes
_PATIENCE = 60.0  # seconds; saving a large machine takes some


async def serve(machine: str, handle: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Answer requests about ``machine`` until cancelled."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener:
        with _short_path(registry.folder_of(machine)) as path:
            listener.bind(path)
        listener.listen(8)
        listener.setblocking(False)
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.wait_readable(listener)
                try:
                    peer, _ = listener.accept()
                except OSError:  # it has gone again
                    continue
                tasks.start_soon(_answer, peer, handle)


async def perform(box: Sandbox, request: dict[str, Any]) -> None:
    """Do what a request asks of ``box``; raise ``StockadeError`` for what it cannot."""
    operation = request.get("op")
    if operation == "pause":
        await box.pause()
        try:
            # On disk as well, for when this process is not there any more.
            await _save(box, checkpoints.folder_of(checkpoints.paused(box.id)))
        except BaseException:
            with anyio.CancelScope(shield=True):
                await box.resume()
            raise
    elif operation == "resume":
        await box.resume()
        checkpoints.forget_paused(box.id)
    elif operation == "checkpoint":
        await _save(box, Path(str(request.get("folder"))))
    else:
        raise StockadeError(f"no such request: {operation}")


async def _save(box: Sandbox, folder: Path) -> None:
    if await to_thread.run_sync(folder.exists):
        raise StockadeError(f"{folder} is there already", hint="Choose another name.")
    checkpoint = await box.checkpoint()
    try:
        await to_thread.run_sync(checkpoint.save, folder)
    finally:
        checkpoint.close()


def ask(machine: str, **request: Any) -> None:
    """Have the owner of ``machine`` do something; raise ``StockadeError`` if it cannot."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(_PATIENCE)
        try:
            with _short_path(registry.folder_of(machine)) as path:
                end.connect(path)
            end.sendall(json.dumps(request).encode() + b"\n")
            line = b""
            while not line.endswith(b"\n") and len(line) < _LINE_LIMIT:
                chunk = end.recv(_LINE_LIMIT)
                if not chunk:
                    break
                line += chunk
            answer = json.loads(line)
        except (OSError, ValueError) as error:
            raise StockadeError(
                f"the process that owns machine {machine} does not answer: {error}"
            ) from None
    if "error" in answer:
        raise StockadeError(answer["error"], hint=answer.get("hint", ""))


async def _answer(peer: socket.socket, handle: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    with peer:
        peer.setblocking(False)
        with anyio.move_on_after(_PATIENCE):
            # Whoever asks may go at any time; that is no concern of the session's.
            with suppress(OSError):
                request = await _read(peer)
                if request is None:
                    return
                answer = await _do(request, handle)
                # So short an answer goes out at once or not at all.
                peer.send(json.dumps(answer).encode() + b"\n")


async def _do(
    request: dict[str, Any], handle: Callable[[dict[str, Any]], Awaitable[None]]
) -> dict[str, str]:
    """Do what is asked for; what comes in its way is the asker's to know, and ends no session."""
    try:
        await handle(request)
    except (StockadeError, OSError, ExceptionGroup) as error:
        cause = first_cause(error) if isinstance(error, ExceptionGroup) else error
        return {"error": str(cause), "hint": getattr(cause, "hint", "")}
    return {}


async def _read(peer: socket.socket) -> dict[str, Any] | None:
    line = b""
    while not line.endswith(b"\n"):
        await anyio.wait_readable(peer)
        chunk = peer.recv(_LINE_LIMIT)
        line += chunk
        if not chunk or len(line) > _LINE_LIMIT:
            return None
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """A path of the socket that fits into its address, which has room for 107 bytes (unix(7))."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{_SOCKET}"
    finally:
        os.close(fd)
