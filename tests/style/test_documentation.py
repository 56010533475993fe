"""The documentation names what exists, and all of it."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pytest

from stockade import __version__
from stockade.cli.commands import group_parser
from stockade.cli.main import COMMANDS
from stockade.cli.parser import Parser
from stockade.model.limits import Limits
from stockade.model.profile import Profile
from stockade.policy.document import parse_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)(?:#[^)]*)?\)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_REFERENCE = Path("docs/reference")


def _pages(texts: dict[Path, str]) -> dict[Path, str]:
    return {path: text for path, text in texts.items() if path.suffix == ".md"}


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _options(package: str = "stockade.cli", commands: Mapping[str, str] = COMMANDS) -> set[str]:
    """All options of ``run`` and the rest, as their parsers have them."""
    found = set(group_parser(commands, prog="", about="", version=__version__).options)
    for name in commands:
        module = import_module(f"{package}.{name}")
        if hasattr(module, "COMMANDS"):
            found |= _options(module.__name__, module.COMMANDS)
            continue
        parser = Parser(name, "")
        module.add_arguments(parser)
        found |= set(parser.options)
    return found


def test_every_link_leads_somewhere(texts: dict[Path, str], root: Path) -> None:
    broken = [
        f"{path}: {target}"
        for path, text in _pages(texts).items()
        for target in _LINK.findall(text)
        if not (root / path.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def test_every_page_is_linked_to(texts: dict[Path, str], root: Path) -> None:
    pages = {path for path in _pages(texts) if path.parts[0] == "docs"}
    linked = {
        (root / path.parent / target).resolve().relative_to(root)
        for path, text in _pages(texts).items()
        for target in _LINK.findall(text)
    }
    folders = {path for path in linked if path.suffix == ""}
    lost = {path for path in pages - linked if path.parent not in folders}
    assert not lost


def test_the_command_line_is_documented(texts: dict[Path, str]) -> None:
    page = texts[_REFERENCE / "cli.md"]
    options = _options()
    assert "--limit" in options
    assert not {option for option in options if option not in page}
    for command in COMMANDS:
        assert f"stockade {command}" in page
    foreign = set(_OPTION.findall(page)) - options
    assert not foreign


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/first-run.md"])
def test_no_command_of_the_documentation_has_an_unknown_option(
    texts: dict[Path, str], page: str
) -> None:
    commands = re.findall(r"^ {4}(?:\$ )?stockade (.*)$", texts[Path(page)], re.MULTILINE)
    assert commands
    for command in commands:
        own = command.partition(" -- ")[0]
        assert own.split()[0] in COMMANDS, command
        assert set(_OPTION.findall(own)) <= _options(), command


def test_the_profile_is_documented(texts: dict[Path, str]) -> None:
    page = texts[_REFERENCE / "profile.md"]
    for key in Profile.model_fields:
        assert f"| `{key}` |" in page, key
    limits = texts[_REFERENCE / "limits.md"]
    for name in Limits.model_fields:
        assert f"| `{name}` |" in limits, name


def test_examples_of_profiles_are_valid(texts: dict[Path, str]) -> None:
    examples = [
        (path, block) for path, text in _pages(texts).items() for block in _blocks(text, "yaml")
    ]
    assert examples
    for path, block in examples:
        parse_profile(block, source=str(path), base=PurePath("/x"))


def test_every_variable_is_documented(texts: dict[Path, str]) -> None:
    used = {
        name
        for path, text in texts.items()
        if path.suffix == ".py"
        for name in re.findall(r"environ(?:\.get\(|\[)\"(STOCKADE_[A-Z_]+)\"", text)
    }
    assert used
    page = texts[_REFERENCE / "environment.md"]
    assert not {name for name in used if f"`{name}`" not in page}


def test_examples_of_python_are_syntax(texts: dict[Path, str]) -> None:
    for path, text in _pages(texts).items():
        for block in _blocks(text, "python"):
            try:
                compile(block, str(path), "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT
            except SyntaxError as error:
                raise AssertionError(f"{path}: {error}") from error
