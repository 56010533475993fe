"""``stockade mcp`` as clients start it: the SDK's own client, a real machine, real tools."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from tests.functional.conftest import Stockade, expect_one_clear_line

pytestmark = pytest.mark.machine

_SERVER = Path(__file__).parents[1] / "security" / "hostile_mcp_server.py"
_ASLEEP = """
from pathlib import Path
print(sum(path.read_text() == "sleep\\n" for path in Path("/proc").glob("[0-9]*/comm")))
"""
_PROFILE = """
version: 1
name: served
files:
  - {{host: ./shop, guest: /workspace, access: overlay}}
  - {{host: {server}, guest: /srv/server.py}}
limits: {{wall_time: 2m}}
tools:
  read_file: {{paths: ["/workspace/**"]}}
  edit_file: {{paths: ["/workspace/**"]}}
  run_tests: {{}}
  make_patch: {{}}
  run_command: {{commands: ["sleep *", "python3 asleep.py"]}}
mcp:
  sums:
    command: [python3, /srv/server.py]
    tools: {{add: {{arguments: {{a: {{maximum: 10}}}}}}}}
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile with a project of one wrong line and one failing test."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "price.py").write_text("def total(prices):\n    return len(prices)\n")
    (shop / "test_price.py").write_text(
        "import unittest\nfrom price import total\n\n\nclass PriceTest(unittest.TestCase):\n"
        "    def test_total(self):\n        self.assertEqual(total([2, 3, 5]), 10)\n"
    )
    (shop / "asleep.py").write_text(_ASLEEP)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(shop))
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "Begin")):
        subprocess.run([*git, *words], check=True)
    path = tmp_path / "served.yaml"
    path.write_text(_PROFILE.format(server=_SERVER))
    return path


@asynccontextmanager
async def _client(
    stockade: Stockade, profile: Path, tmp_path: Path, *, mode: str = "auto"
) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(
        command=stockade.program,
        args=["mcp", "--profile", str(profile)],
        env=stockade.environment,
    )
    with (tmp_path / "stderr").open("w") as errors:
        async with Client(stdio_client(parameters, errlog=errors), mode=mode) as client:
            yield client


def _text(result: object) -> str:
    return "\n".join(block.text for block in result.content)  # type: ignore[attr-defined]


def test_a_bug_is_found_fixed_and_handed_out_as_a_patch(
    stockade: Stockade, profile: Path, tmp_path: Path
) -> None:
    accepted = stockade("policy", "accept", "--profile", profile, "--yes")
    assert accepted.returncode == 0, accepted.stderr
    assert b"sums: add is new" in accepted.stdout

    async def use() -> None:
        async with _client(stockade, profile, tmp_path) as client:
            await _fix(client)

    anyio.run(use)
    said = (tmp_path / "stderr").read_text()
    journal = Path(re.findall(r"journal (\S+)", said)[0])
    decisions = [json.loads(line) for line in journal.read_text().splitlines()]
    effects = [(one["action"]["tool"], one["verdict"]["effect"]) for one in decisions]
    assert ("read_file", "deny") in effects
    assert effects[-2:] == [("sums__add", "allow"), ("sums__add", "deny")]
    assert (profile.parent / "shop" / "price.py").read_text().endswith("len(prices)\n")
    assert json.loads(stockade("ps", "--json").stdout) == []


async def _fix(client: Client) -> None:
    names = [tool.name for tool in (await client.list_tools()).tools]
    granted = ["edit_file", "make_patch", "read_file", "run_command", "run_tests", "sums__add"]
    assert names == granted
    denied = await client.call_tool("read_file", {"path": "/etc/shadow"})
    assert denied.is_error
    assert "/workspace/**" in _text(denied)

    failing = await client.call_tool("run_tests", {})
    assert failing.structured_content["failed"] == 1, _text(failing)
    edit = {"path": "price.py", "old": "len(prices)", "new": "sum(prices)"}
    edited = await client.call_tool("edit_file", edit)
    assert not edited.is_error, _text(edited)
    passing = await client.call_tool("run_tests", {})
    assert passing.structured_content["failed"] == 0, _text(passing)
    assert "+    return sum(prices)" in _text(await client.call_tool("make_patch", {}))

    summed = await client.call_tool("sums__add", {"a": 1, "b": 2})
    assert summed.structured_content == {"sum": 3}, _text(summed)
    assert (await client.call_tool("sums__add", {"a": 11, "b": 2})).is_error


def test_a_call_that_is_cancelled_ends_in_the_machine(
    stockade: Stockade, profile: Path, tmp_path: Path
) -> None:
    async def use() -> None:
        async with _client(stockade, profile, tmp_path, mode="legacy") as client:
            assert client.session.protocol_version == "2025-11-25"
            seen = anyio.Event()

            async def progress(progress: float, total: float | None, message: str | None) -> None:
                seen.set()

            async def call() -> None:
                words = {"argv": ["sleep", "1000"]}
                await client.call_tool("run_command", words, progress_callback=progress)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                with anyio.fail_after(120):
                    await seen.wait()
                assert await _asleep(client) == "1\n"
                tasks.cancel_scope.cancel()
            # What was started is over with the call.
            with anyio.fail_after(60):
                while await _asleep(client) != "0\n":
                    await anyio.lowlevel.checkpoint()
            assert not (await client.call_tool("read_file", {"path": "price.py"})).is_error

    anyio.run(use)


async def _asleep(client: Client) -> str:
    """How many processes sleep in the machine."""
    result = await client.call_tool("run_command", {"argv": ["python3", "asleep.py"]})
    assert result.structured_content, _text(result)
    return str(result.structured_content["stdout"])


def test_http_serves_who_has_the_token(stockade: Stockade, profile: Path) -> None:
    with subprocess.Popen(
        [stockade.program, "mcp", "--profile", str(profile), "--http", "127.0.0.1:0"],
        env=stockade.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stderr
        try:
            said = b""
            while b"its token is" not in said:
                said += process.stderr.readline()
            found = re.search(rb"MCP at (\S+); its token is (\S+)", said)
            assert found
            token = Path(found[2].decode())
            secret = token.read_text().strip()
            command_line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert secret.encode() not in said + command_line
            anyio.run(_read_by_http, found[1].decode(), secret)
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
        assert (process.returncode, output) == (130, b"")
    assert not token.exists()
    assert json.loads(stockade("ps", "--json").stdout) == []


async def _read_by_http(url: str, secret: str) -> None:
    headers = {"Authorization": f"Bearer {secret}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result = await client.call_tool("read_file", {"path": "price.py"})
        assert "len(prices)" in _text(result)


def test_a_server_that_is_killed_leaves_no_machine(
    stockade: Stockade, profile: Path, eventually: Callable[..., None]
) -> None:
    about = {"protocolVersion": "2025-11-25", "capabilities": {}}
    about["clientInfo"] = {"name": "test", "version": "1"}
    call = {"name": "read_file", "arguments": {"path": "price.py"}}
    with subprocess.Popen(
        [stockade.program, "mcp", "--profile", str(profile)],
        env=stockade.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin
        assert process.stdout
        for number, (method, params) in enumerate([("initialize", about), ("tools/call", call)]):
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["result"]
        assert len(json.loads(stockade("ps", "--json").stdout)) == 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    eventually(
        lambda: not json.loads(stockade("ps", "--json").stdout), "the machine is gone", seconds=120
    )


def test_mistakes_are_one_line(stockade: Stockade, profile: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("version: 1\nname: empty\n")
    expect_one_clear_line(stockade("mcp"), "no profile given", code=2)
    expect_one_clear_line(stockade("mcp", "-p", empty), "grants no tool", code=2)
    expect_one_clear_line(stockade("policy", "accept", "-p", empty), "has no MCP servers", code=2)
    expect_one_clear_line(
        stockade("policy", "accept", "-p", profile, "sum"), "did you mean 'sums'", code=2
    )
