from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli import ps
from stockade.sandbox import registry


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> registry.Record:
    """A record that counts as alive, because this very process is what it names."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    record = registry.Record(
        id=registry.new_id(),
        pid=os.getpid(),
        ticks=registry.start_ticks(os.getpid()),
        owner=os.getpid(),
        backend="qemu-microvm",
        image="debian-python",
        profile="default",
        command=["python3", "-c", "x" * 100],
        started=0.0,
    )
    registry.write(record)
    return record


def test_a_live_machine_is_listed(
    read: Callable[..., Namespace],
    machine: registry.Record,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ps.run(read(ps)) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.startswith("ID")
    assert row.startswith(machine.id)
    assert len(row) < 200


def test_json_holds_the_whole_record(
    read: Callable[..., Namespace],
    machine: registry.Record,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ps.run(read(ps, "--json")) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert shown["id"] == machine.id
    assert shown["command"] == machine.command
    assert shown["state"] == "running"


def test_a_paused_machine_says_so(
    read: Callable[..., Namespace],
    machine: registry.Record,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for paused in (True, False):
        registry.mark_paused(machine.id, paused=paused)
        assert ps.run(read(ps)) == 0
        header, row = capsys.readouterr().out.splitlines()
        assert header.split()[:2] == ["ID", "STATE"]
        assert row.split()[1] == ("paused" if paused else "running")
