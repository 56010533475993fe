"""Files in a machine, read and written as the workload's user, over the channel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stockade.model.errors import MachineError, RequestError
from stockade.sandbox.calls import printable
from stockade.sandbox.converse import collect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from stockade.sandbox.process import Process

_MESSAGE_LIMIT = 8 * 1024  # bytes looked at of a failure's description
READ_LIMIT = 64 * 1024 * 1024
"""Bytes that ``read`` and ``list`` take into the host's memory unless told otherwise."""


@dataclass(frozen=True)
class FileStatus:
    """What lstat(2) says about a file: size in bytes, permission bits, seconds since the epoch.

    ``kind`` is ``file``, ``directory``, ``symlink``, ``fifo``, ``socket``, ``device`` or
    ``unknown``; ``target`` is where a symlink leads. Every value is the machine's word.
    """

    name: str
    kind: str
    size: int
    mode: int
    modified: float
    uid: int
    target: str = ""


_Entries = list[FileStatus]  # in the class below, `list` is a method


class Files:
    """``box.files``. Paths are the machine's; relative ones start at ``/``."""

    def __init__(self, start: Callable[[], Process]) -> None:
        self._start = start

    async def read(self, path: str, *, limit: int = READ_LIMIT) -> bytes:
        """Return the content of the regular file ``path``; larger than ``limit`` is an error."""
        return await self._run({"action": "read", "path": path}, limit=limit)

    async def write(self, path: str, content: bytes | str, *, mode: int = 0o644) -> None:
        """Put ``content`` in place of the file ``path``, whole or not at all."""
        data = content.encode() if isinstance(content, str) else content
        await self._run({"action": "write", "path": path, "mode": mode}, data=data)

    async def status(self, path: str) -> FileStatus:
        """Return what is known about ``path`` itself; links are not followed."""
        found = _parse(await self._run({"action": "describe", "path": path}))
        if len(found) != 1:
            raise MachineError(f"the machine broke the protocol: {len(found)} entries for one file")
        return found[0]

    async def list(self, path: str) -> list[FileStatus]:
        """Return the entries of the folder ``path``, sorted by name, at most 100,000."""
        return _parse(await self._run({"action": "list", "path": path}))

    async def make_folder(self, path: str, *, mode: int = 0o755) -> None:
        """Create the folder ``path`` and its missing parents; fine when it is there."""
        await self._run({"action": "make-folder", "path": path, "mode": mode})

    async def remove(self, path: str) -> None:
        """Delete the file, link or empty folder ``path``."""
        await self._run({"action": "remove", "path": path})

    async def resolve(self, path: str) -> str:
        """Return where the absolute ``path`` leads, all links followed; its end may be missing."""
        said = _documents(await self._run({"action": "resolve", "path": path}), most=1)
        found = said[0].get("path") if said else None
        if not isinstance(found, str) or not found.startswith("/"):
            raise MachineError(f"the machine broke the protocol: a path leads to {found!r:.40}")
        return found

    async def read_exact(self, path: str, *, limit: int = READ_LIMIT) -> bytes:
        """Do what ``read`` does, for what ``resolve`` has said: no link is followed any more.

        A file that has a second name (hard link) is refused, and so is all in /proc, /sys, /dev.
        """
        return await self._run({"action": "read-exact", "path": path}, limit=limit)

    async def write_exact(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Do what ``write`` does, with the care of ``read_exact``; missing folders are made.

        A file that is there already keeps its mode.
        """
        await self._run({"action": "write-exact", "path": path, "mode": mode}, data=content)

    async def list_exact(self, path: str) -> _Entries:
        """Do what ``list`` does, with the care of ``read_exact``."""
        return _parse(await self._run({"action": "list-exact", "path": path}))

    async def search(
        self,
        folder: str,
        question: Mapping[str, Any],
        take: Callable[[dict[str, Any]], None],
        *,
        limit: int = READ_LIMIT,
    ) -> None:
        """Look for text below ``folder``, as ``guest/search.py`` has it.

        ``take`` is given each line of the answer as it comes, so that something is left of a search
        that is cancelled; what is in the line is the machine's word.
        """
        rest = bytearray()
        taken = 0

        async def give(chunk: bytes) -> None:
            nonlocal taken
            taken += len(chunk)
            if taken > limit:
                raise OverflowError(f"an answer larger than {limit} bytes")
            rest.extend(chunk)
            *lines, last = rest.split(b"\n")
            rest[:] = last
            for document in _documents(b"\n".join(lines), most=len(lines)):
                take(document)

        request = {"action": "search", "path": folder}
        await self._run(request, data=json.dumps(question).encode(), give=give)

    async def _run(
        self,
        request: dict[str, Any],
        *,
        data: bytes = b"",
        limit: int = READ_LIMIT,
        give: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> bytes:
        process = self._start()
        path = printable(request["path"])
        try:
            await process.start({"op": "file", **request})
            result = await collect(process, data, limit=limit, give=give)
        except OverflowError as error:
            raise RequestError(f"{path}: {error}", kind="EFBIG") from None
        finally:
            process.stop(None)
        if result.code != 0:
            raise _failure(path, result.stderr[:_MESSAGE_LIMIT], result.outcome.reason)
        return result.stdout


def _failure(path: str, said: bytes, reason: str) -> RequestError:
    try:
        report = json.loads(said)
        kind, message = printable(report["kind"], 40), printable(report["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        kind, message = "EIO", reason or printable(said.decode(errors="replace").strip())
    return RequestError(f"{path}: {message}", kind=kind)


def _documents(lines: bytes, *, most: int) -> list[dict[str, Any]]:
    """The ``most`` JSON objects that there are at most, one on each line."""
    try:
        found = [json.loads(line) for line in lines.splitlines() if line]
    except (ValueError, RecursionError) as error:
        raise MachineError(f"the machine broke the protocol: {printable(error, 200)}") from None
    if len(found) > most or not all(isinstance(one, dict) for one in found):
        raise MachineError("the machine broke the protocol: an answer is no object")
    return found


def _parse(lines: bytes) -> list[FileStatus]:
    try:
        return [FileStatus(**_typed(json.loads(line))) for line in lines.splitlines()]
    except (ValueError, TypeError, RecursionError) as error:
        said = printable(error, 200)
        raise MachineError(f"the machine broke the protocol: a listing has {said}") from None


def _typed(entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise TypeError(f"{entry!r:.40} in place of an entry")
    kinds = {"name": str, "kind": str, "size": int, "mode": int, "uid": int, "target": str}
    for key, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, kinds.get(key, int | float)):
            raise TypeError(f"{key}={value!r:.40}")
    return entry
