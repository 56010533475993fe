from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli.image import list as image_list


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path))


def test_an_empty_cache_has_no_images(
    read: Callable[..., Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert image_list.run(read(image_list)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAME  DIGEST  SIZE  CREATED (UTC)  DRIFT FROM LOCK"
    ]


def test_json_of_an_empty_cache(
    read: Callable[..., Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert image_list.run(read(image_list, "--json")) == 0
    assert json.loads(capsys.readouterr().out) == []
