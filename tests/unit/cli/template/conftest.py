"""Templates that nobody has booted, in a cache in which there are no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.sandbox.templates.store import RAM, STATE, Facts, write_facts

MakeTemplate = Callable[..., Path]


@pytest.fixture
def make_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeTemplate:
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path / "cache"))

    def make(key: str, created: float = 60.0) -> Path:
        folder = tmp_path / "cache" / "templates" / key
        folder.mkdir(parents=True)
        (folder / RAM).write_bytes(b"x" * 4096)
        (folder / STATE).write_bytes(b"state")
        write_facts(folder, Facts("debian-python", "ef" * 32, 2, 4096, 16, created))
        return folder

    return make
