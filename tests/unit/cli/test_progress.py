from __future__ import annotations

import contextlib
import os
import sys

import pytest

from stockade.cli.progress import Display


def test_nothing_is_shown_when_not_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.stage("building", 0.5)
        display.stage("building", None)
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


def test_warnings_are_always_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.warn("the lock has drifted")
    assert capsys.readouterr().err == "stockade: the lock has drifted\n"


def test_a_terminal_sees_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with Display() as display:
            display.stage("building the image", 0.5)
            display.stage("building the image", 1.0)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: everything has been read
        while chunk := os.read(master, 1 << 16):
            shown += chunk
    os.close(master)
    assert b"building the image" in shown
