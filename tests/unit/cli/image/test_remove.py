from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli.image import remove
from stockade.model.errors import ImageError, UsageError


def test_what_is_not_there_cannot_be_removed(
    read: Callable[..., Namespace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path))
    with pytest.raises(ImageError, match="no image 'nope'"):
        remove.run(read(remove, "nope"))


def test_an_image_must_be_named(read: Callable[..., Namespace]) -> None:
    with pytest.raises(UsageError, match="required: IMAGE"):
        read(remove)
