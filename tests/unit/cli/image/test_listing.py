from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stockade.cli.image.listing import show
from stockade.sandbox.images.manifest import Drift, ImageManifest
from stockade.sandbox.images.store import Image

_IMAGE = Image(
    Path("/images/x/root.erofs"),
    ImageManifest(
        digest="ab" * 32,
        name="dir:/x",
        size=3 << 20,
        created=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        drift=(Drift(package="bash", locked="5.1", built=None),),
    ),
)


def test_an_image_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([_IMAGE], json=False)
    _, line = capsys.readouterr().out.splitlines()
    assert line.split("  ") == ["dir:/x", "abababababab", "3MiB", "2026-01-02 03:04", "1 packages"]


def test_json_holds_the_whole_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    show([_IMAGE], json=True)
    [shown] = json.loads(capsys.readouterr().out)
    assert shown["path"] == "/images/x/root.erofs"
    assert shown["digest"] == _IMAGE.manifest.digest
    assert shown["drift"] == [{"package": "bash", "locked": "5.1", "built": None}]
