"""Envoy's process, by its own end and by that of its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.egress.http import envoy
from stockade.egress.http.envoy import Envoy, find
from stockade.model.errors import MissingToolError, StockadeError

Eventually = Callable[[Callable[[], object], str], None]


def test_the_program_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.access(find(), os.X_OK)
    monkeypatch.setenv("STOCKADE_ENVOY_BIN", "/bin/true")
    assert find() == Path("/bin/true")
    monkeypatch.setenv("STOCKADE_ENVOY_BIN", "/nonexistent")
    with pytest.raises(MissingToolError, match="/nonexistent"):
        find()


@pytest.mark.anyio
async def test_what_is_wrong_at_the_first_start_is_told(tmp_path: Path) -> None:
    subject = Envoy({"no_such_key": 1}, tmp_path, tmp_path / "doors")
    with pytest.raises(StockadeError, match="did not start"):
        await subject.run()
    assert subject.pid is None
    assert (tmp_path / "envoy.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.anyio
async def test_one_that_comes_up_is_gone_when_cancelled(tmp_path: Path) -> None:
    doors = tmp_path / "doors"
    listener = {
        "name": "doors",
        "address": {"pipe": {"path": str(doors)}},
        "filter_chains": [{"filters": []}],
    }
    subject = Envoy({"static_resources": {"listeners": [listener]}}, tmp_path, doors)
    async with anyio.create_task_group() as tasks:
        await tasks.start(subject.run)
        pid = subject.pid
        assert pid is not None
        tasks.cancel_scope.cancel()
    assert subject.pid is None
    assert not Path(f"/proc/{pid}").exists()  # noqa: ASYNC240 - a test


def test_it_ends_with_a_stockade_that_was_killed(tmp_path: Path, eventually: Eventually) -> None:
    script = """
        import sys, anyio
        from ipaddress import IPv4Address, IPv6Address
        from pathlib import Path
        from stockade.egress.http.authority import Authority
        from stockade.egress.http.proxy import HttpProxy

        async def main(folder):
            authority = Authority.load(folder / "state")
            async with HttpProxy(None, authority=authority, folder=folder) as proxy:
                session, invented = IPv6Address("fd00::1"), IPv4Address("198.18.0.1")
                await proxy.connect(session, invented, 443, "a.test")
                print(proxy.pid, flush=True)
                await anyio.sleep_forever()

        anyio.run(main, Path(sys.argv[1]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stockade:
        assert stockade.stdout is not None
        pid = int(stockade.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        stockade.send_signal(signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "Envoy is gone")


def test_last_words_are_one_printable_line() -> None:
    subject = envoy.Envoy({}, Path("/"), Path("/"))
    subject._tail += b"first\n\x1b[31mlast\n\n"
    assert subject.last_words == "?[31mlast"
