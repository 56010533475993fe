from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stockade.cli.commands import dispatch, group_parser
from stockade.model.errors import UsageError

_COMMANDS = {"one": "The first.", "group": "The others."}
_ONE = """
def add_arguments(parser):
    parser.add_argument("--code", default="0")

def run(arguments):
    return int(arguments.code)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a package with two commands, of which one is a group of one."""
    name = "commands_of_a_test"
    group = tmp_path / name / "group"
    group.mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "one.py").write_text(_ONE)
    (group / "__init__.py").write_text("COMMANDS = {'two': 'The second.'}")
    (group / "two.py").write_text(_ONE.replace("0", "5"))
    monkeypatch.syspath_prepend(tmp_path)
    for module in [module for module in sys.modules if module.startswith(name)]:
        monkeypatch.delitem(sys.modules, module)
    return name


def _dispatch(package: str, *words: str) -> int:
    return dispatch(
        words, _COMMANDS, package=package, prog="try", about="Try them.", version="try 1"
    )


def test_only_the_module_of_the_named_command_is_imported(package: str) -> None:
    assert _dispatch(package, "group", "two") == 5
    assert f"{package}.group.two" in sys.modules
    assert f"{package}.one" not in sys.modules
    assert _dispatch(package, "one", "--code", "3") == 3


@pytest.mark.parametrize("words", [[], ["--help"], ["group"], ["group", "-h"], ["--version"]])
def test_help_and_version_import_no_command(
    package: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        _dispatch(package, *words)
    assert end.value.code == 0
    assert capsys.readouterr().out
    assert f"{package}.one" not in sys.modules
    assert f"{package}.group.two" not in sys.modules


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["oen"], "unknown command 'oen'; did you mean 'one'?", "Choose one of one, group."),
        (["group", "one"], "unknown command 'one'", "Choose one of two."),
        (["--"], "unknown command '--'", "Choose one of one, group."),
        (["-", "one"], "unknown command '-'", "Choose one of one, group."),
        (["--code", "one"], "unknown option '--code'", "See try --help."),
        (["group", "two", "--cod"], "unknown option '--cod'", "See try group two --help."),
        (["__init__"], "unknown command '__init__'", "Choose one of one, group."),
    ],
)
def test_a_mistake_names_what_there_is(
    package: str, words: list[str], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        _dispatch(package, *words)
    assert str(caught.value).startswith(message)
    assert caught.value.hint == hint


def test_the_help_of_a_group_lists_its_commands() -> None:
    shown = group_parser(_COMMANDS, prog="try", about="Try them.").format_help()
    assert "one         The first." in shown
    assert "--version" not in shown
