"""A tool session as the command line serves it; ``functional/test_mcp.py`` has clients use it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli import mcp, serving
from stockade.model.errors import StockadeError, UsageError


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\ntools: {run_tests: {}}\nmcp: {h: {command: [a], tools: {b: {}}}}\n"
    )
    return path


def test_a_profile_without_tools_is_refused(read: Callable[..., Namespace], tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\n")
    with pytest.raises(UsageError, match="grants no tool"):
        serving.run(read(mcp, "-p", str(path)))


def test_pins_that_were_tampered_with_stop_it(
    read: Callable[..., Namespace], profile: Path
) -> None:
    profile.with_suffix(".mcp-lock.json").write_text("{}")
    with pytest.raises(StockadeError, match="not a file of pins"):
        serving.run(read(mcp, "-p", str(profile)))


def test_nothing_but_loopback_is_served_and_the_rest_is_said(
    read: Callable[..., Namespace], profile: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="not an address of loopback"):
        serving.run(read(mcp, "-p", str(profile), "--http", "0.0.0.0:0"))
    output, said = capfd.readouterr()
    assert output == ""
    assert "serves 1 tools of profile 'default'" in said
    assert "not served until accepted: h__b" in said
    assert "stockade policy accept --profile" in said
