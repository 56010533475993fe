from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.cli.image import build
from stockade.sandbox.images.prepare import prepare_runtime
from stockade.sandbox.paths import cache_dir


def test_the_image_is_the_default_one_unless_another_is_named(
    read: Callable[..., Namespace],
) -> None:
    assert vars(read(build)) == {"ref": "debian-python", "rebuild": False, "json": False}
    for words in (["dir:/x", "--rebuild"], ["--rebuild", "dir:/x"]):
        assert (read(build, *words).ref, read(build, *words).rebuild) == ("dir:/x", True)


def test_an_image_that_is_made_is_shown(
    read: Callable[..., Namespace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # With the parts that all machines share, which take longer to make than the image.
    anyio.run(prepare_runtime)
    for shared in ("kits", "runtimes"):
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / "cache" / shared).symlink_to(cache_dir() / shared)
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "tree").mkdir()
    assert build.run(read(build, f"dir:{tmp_path / 'tree'}", "--json")) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert shown["name"] == f"dir:{tmp_path / 'tree'}"
    assert Path(shown["path"]).is_file()
