"""A machine's place taken by this host, for servers that the tests themselves have written."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from stockade.model.outcome import ExecResult, Outcome
from stockade.model.tools import ToolGrant, ToolServer

SERVER = Path(__file__).parents[3] / "security" / "hostile_mcp_server.py"


def hostile_server(
    *tools: str, timeout: float | None = None, env: Mapping[str, str] | None = None
) -> ToolServer:
    """The server of the tests, with these tools granted."""
    return ToolServer(
        command=(sys.executable, str(SERVER)),
        env=dict(env or {}),
        tools={name: ToolGrant() for name in tools},
        timeout=timeout,
    )


class _Input:
    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process

    async def send(self, data: bytes) -> None:
        assert self._process.stdin
        try:
            await self._process.stdin.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise BrokenPipeError(str(error)) from None

    def end(self) -> None:
        raise NotImplementedError


class LocalProcess:
    """A process of this host with the face of one in a machine."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self.process, self.stdin = process, _Input(process)

    async def read_stdout(self) -> bytes:
        return await self._read(self.process.stdout)

    async def read_stderr(self) -> bytes:
        return await self._read(self.process.stderr)

    async def wait(self) -> Outcome:
        raise NotImplementedError

    def stop(self, limit: None) -> None:
        if self.process.returncode is None:
            self.process.kill()

    @staticmethod
    async def _read(stream: Any) -> bytes:
        try:
            chunk: bytes = await stream.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return b""
        return chunk


class LocalMachine:
    """Starts programs on this host, and remembers them."""

    def __init__(self) -> None:
        self.started: list[LocalProcess] = []

    @property
    def files(self) -> Any:
        raise NotImplementedError

    async def exec(
        self,
        argv: Sequence[str | bytes],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> ExecResult:
        raise NotImplementedError

    async def start(
        self,
        argv: Sequence[str | bytes],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> LocalProcess:
        words = [word if isinstance(word, str) else word.decode() for word in argv]
        process = LocalProcess(await anyio.open_process(words, env=dict(env or {})))
        self.started.append(process)
        return process


@pytest.fixture
async def machine(anyio_backend: str) -> AsyncIterator[LocalMachine]:
    """This host in place of a machine; what was started in it is gone afterwards."""
    local = LocalMachine()
    yield local
    for started in local.started:
        started.stop(None)
        await started.process.aclose()
