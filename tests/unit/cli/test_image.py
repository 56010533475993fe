from __future__ import annotations

import json
from pathlib import Path

import pytest

from stockade.cli.image import list_images, remove
from stockade.model.errors import ImageError


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path))


def test_an_empty_cache_has_no_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_images() == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAME  DIGEST  SIZE  CREATED (UTC)  DRIFT FROM LOCK"
    ]


def test_json_of_an_empty_cache(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_images(json=True) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_what_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(ImageError, match="no image 'nope'"):
        remove("nope")
