from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable

import pytest
from tests.unit.cli.template.conftest import MakeTemplate

from stockade.cli.template import list as template_list


def test_an_empty_cache_has_none(
    read: Callable[..., Namespace],
    make_template: MakeTemplate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert template_list.run(read(template_list, "--json")) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert template_list.run(read(template_list)) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_all_are_listed_and_the_oldest_comes_first(
    read: Callable[..., Namespace],
    make_template: MakeTemplate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_template("ab" * 32, created=2.0)
    make_template("cd" * 32, created=1.0)
    assert template_list.run(read(template_list, "--json")) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first.pop("size") > 0
    assert first == {
        "key": "cd" * 32, "image": "debian-python", "digest": "ef" * 32, "cpus": 2, "memory": 4096,
        "slots": 16, "created": 1.0, "damage": "",
    }  # fmt: skip
    assert second["key"] == "ab" * 32
