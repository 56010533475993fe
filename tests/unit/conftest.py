"""What tests of several layers need: a saved machine that nobody has to boot."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.model.profile import Profile
from stockade.sandbox import checkpoints
from stockade.sandbox.checkpoint import Checkpoint, Origin
from stockade.sandbox.ram import Pages

SaveCheckpoint = Callable[..., Path]


@pytest.fixture
def save_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SaveCheckpoint:
    """Save a checkpoint without content; in a state folder in which there are no others."""
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(tmp_path / "state"))

    def save(
        name: str, *, machine: str = "00112233", template: str = "ab" * 32, taken: float = 1.0
    ) -> Path:
        origin = Origin(machine, Profile(name="mine"), template, "of its ram", taken)
        folder = checkpoints.folder_of(name)
        checkpoint = Checkpoint(origin, b"state", Pages(array("Q"), os.memfd_create("pages")), ())
        checkpoint.save(folder)
        checkpoint.close()
        return folder

    return save
