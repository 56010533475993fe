"""The sandbox for code that is not async: the same machine, with an event loop in its own thread.

with BlockingSandbox(profile) as box:
    result = box.exec(["python3", "-V"])
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from stockade.model.errors import MachineError
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from stockade.model.outcome import ExecResult
    from stockade.model.profile import Profile
    from stockade.sandbox.checkpoint import Checkpoint
    from stockade.sandbox.files import Files, FileStatus
    from stockade.sandbox.images.progress import Progress

_Result = TypeVar("_Result")


class _Call(Protocol):
    def __call__(self, work: Callable[[], Awaitable[_Result]]) -> _Result: ...


class BlockingSandbox:
    """One machine, used from any thread. See ``Sandbox`` for what each call does and raises."""

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        progress: Progress | None = None,
        command: Sequence[str] = (),
        origin: Callable[[], Awaitable[Checkpoint]] | None = None,
    ) -> None:
        self._box = Sandbox(profile, progress=progress, command=command, origin=origin)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self.files = BlockingFiles(self._box.files, self._call)

    def __enter__(self) -> Self:
        """Start the machine."""
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._box))
            self._stack = stack.pop_all()
            self._portal = portal
        return self

    def __exit__(self, *_: object) -> None:
        """Destroy the machine."""
        self.close()

    def close(self) -> None:
        """Destroy the machine now; leaving the context does it too."""
        self._stack.close()
        self._portal = None

    @property
    def id(self) -> str:
        """What ``stockade ps`` calls the machine."""
        return self._box.id

    def exec(
        self,
        argv: Sequence[str | bytes],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> ExecResult:
        """Run a program to its end and return all it wrote."""
        return self._call(partial(self._box.exec, argv, stdin=stdin, env=env, cwd=cwd))

    def pause(self) -> None:
        """Stop the machine: it uses no processor time, and commands' time stands still."""
        self._call(self._box.pause)

    def resume(self) -> None:
        """Let a paused machine go on."""
        self._call(self._box.resume)

    def checkpoint(self) -> Checkpoint:
        """Note what the machine is like at this moment; the checkpoint is the caller's to close."""
        return self._call(self._box.checkpoint)

    def rollback(self, checkpoint: Checkpoint) -> None:
        """Put the machine back to where it was."""
        self._call(partial(self._box.rollback, checkpoint))

    def fork(self) -> BlockingSandbox:
        """A copy of the machine as it is when the copy is entered."""

        async def origin() -> Checkpoint:
            return await to_thread.run_sync(self.checkpoint)

        return type(self)(self._box.profile, origin=origin)

    def stats(self) -> dict[str, Any]:
        """What the commands in the machine use now."""
        return self._call(self._box.stats)

    def _call(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        if self._portal is None:
            raise MachineError("the machine is not running", hint="Use it inside `with`.")
        return self._portal.call(work)


class BlockingFiles:
    """``box.files``; see ``Files``."""

    def __init__(self, files: Files, call: _Call) -> None:
        self._files, self._call = files, call

    def read(self, path: str) -> bytes:
        """Return the content of the regular file ``path``."""
        return self._call(partial(self._files.read, path))

    def write(self, path: str, content: bytes | str, *, mode: int = 0o644) -> None:
        """Put ``content`` in place of the file ``path``, whole or not at all."""
        self._call(partial(self._files.write, path, content, mode=mode))

    def status(self, path: str) -> FileStatus:
        """Return what is known about ``path`` itself; links are not followed."""
        return self._call(partial(self._files.status, path))

    def list(self, path: str) -> list[FileStatus]:
        """Return the entries of the folder ``path``."""
        return self._call(partial(self._files.list, path))

    def make_folder(self, path: str, *, mode: int = 0o755) -> None:
        """Create the folder ``path`` and its missing parents."""
        self._call(partial(self._files.make_folder, path, mode=mode))

    def remove(self, path: str) -> None:
        """Delete the file, link or empty folder ``path``."""
        self._call(partial(self._files.remove, path))
