from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable

import pytest
from tests.unit.cli.template.conftest import MakeTemplate
from tests.unit.conftest import SaveCheckpoint

from stockade.cli.template import remove
from stockade.model.errors import ImageError, StockadeError, UsageError


@pytest.mark.parametrize("key", ["abcdab", "ABCDABCD", "abcd" * 16])
def test_it_is_named_by_digits_of_its_key(
    read: Callable[..., Namespace],
    save_checkpoint: SaveCheckpoint,
    make_template: MakeTemplate,
    capsys: pytest.CaptureFixture[str],
    key: str,
) -> None:
    one, other = make_template("abcd" * 16), make_template("abce" * 16)
    assert remove.run(read(remove, key, "--json")) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert shown["key"] == "abcd" * 16
    assert not one.exists()
    assert other.is_dir()


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        ("abcda", UsageError, "at least 6 digits"),
        ("", UsageError, "at least 6 digits"),
        ("abcdef", ImageError, "no template 'abcdef'"),
    ],
)
def test_what_names_none_is_refused(
    read: Callable[..., Namespace],
    save_checkpoint: SaveCheckpoint,
    make_template: MakeTemplate,
    key: str,
    kind: type[StockadeError],
    message: str,
) -> None:
    folder = make_template("abcd" * 16)
    with pytest.raises(kind, match=message):
        remove.run(read(remove, key))
    assert folder.is_dir()


def test_a_damaged_one_can_be_removed_whatever_rests_on_it(
    read: Callable[..., Namespace],
    save_checkpoint: SaveCheckpoint,
    make_template: MakeTemplate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = make_template("abcd" * 16)
    save_checkpoint("one", template="abcd" * 16)
    (folder / "template.json").write_text("{")
    assert remove.run(read(remove, "abcdab", "--json")) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert shown["damage"]
    assert not folder.exists()


def test_one_that_checkpoints_rest_on_is_kept(
    read: Callable[..., Namespace],
    save_checkpoint: SaveCheckpoint,
    make_template: MakeTemplate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = make_template("abcd" * 16)
    save_checkpoint("one", template="abcd" * 16)
    save_checkpoint("other", template="abce" * 16)
    with pytest.raises(StockadeError, match=r"checkpoints rest on it: one$"):
        remove.run(read(remove, "abcdab"))
    assert folder.is_dir()
    assert capsys.readouterr().out == ""
