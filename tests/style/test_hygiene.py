"""What must not be in the repository: traces of the machine it was written on, and loose ends.

Each forbidden word is put together here from parts, so that this file does not contain it.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_MACHINE_PATHS = re.compile(
    "|".join(
        [
            # Not after a name: ./work and /proc/self/root are other things.
            r"(?<![\w.~$}-])/" + r"work\b(?!-)",
            r"(?<![\w.~$}-])/" + r"root/",
            r"(?<![\w.~$}-])/home/(?!dev\b|user\b|agent\b)[a-z]\w*/",
        ]
    )
)

# Private registries and mirrors: a build must not depend on who could reach which.
_REGISTRIES = re.compile(
    "|".join(
        [
            "arti" + "factory",
            "jf" + "rog",
            "nexus" + "[-.]",
            "code" + "artifact",
            r"\.pkg" + r"\.dev\b",
        ]
    ),
    re.IGNORECASE,
)
_PUBLIC_HOSTS = re.compile(
    r"(?:[\w-]+\.)*(?:pypi\.org|pythonhosted\.org|debian\.org|github\.com|apache\.org|python\.org)"
)
_BUILD_FILES = ("pyproject.toml", "Makefile", "uv.lock", "requirements*.lock", ".ci/*")

_LOOSE_ENDS = re.compile(r"\b(?:" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b")


def _matches(texts: dict[Path, str], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {match[0]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        for match in pattern.finditer(line)
    ]


def test_no_file_names_the_machine_it_was_written_on(texts: dict[Path, str]) -> None:
    assert not (found := _matches(texts, _MACHINE_PATHS)), "\n".join(found)


def test_no_file_names_a_private_registry(texts: dict[Path, str]) -> None:
    assert not (found := _matches(texts, _REGISTRIES)), "\n".join(found)


def test_builds_fetch_from_public_hosts_alone(texts: dict[Path, str]) -> None:
    builds = {
        path: text
        for path, text in texts.items()
        if any(path.match(pattern) for pattern in _BUILD_FILES)
    }
    assert builds
    hosts = re.compile(r"(?<=://)[^/\s\"'#)]+")
    private = [
        found
        for found in _matches(builds, hosts)
        if not _PUBLIC_HOSTS.fullmatch(found.rpartition(": ")[2])
    ]
    assert not private, "\n".join(private)


def test_no_file_has_loose_ends(texts: dict[Path, str]) -> None:
    assert not (found := _matches(texts, _LOOSE_ENDS)), "\n".join(found)


def _sleeps(text: str) -> list[int]:
    """Give the lines that call or import time's sleep; programs written in strings may."""
    lines = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(value=ast.Name(id="time"), attr="sleep"):
                lines.append(node.lineno)
            case ast.ImportFrom(module="time", names=names):
                lines += [node.lineno for alias in names if alias.name == "sleep"]
    return sorted(lines)


def test_no_test_waits_by_the_clock(texts: dict[Path, str]) -> None:
    found = [
        f"{path}:{line}: wait for what must happen, not for a time"
        for path, text in texts.items()
        if path.parts[0] == "tests" and path.suffix == ".py"
        for line in _sleeps(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("pattern", "text", "forbidden"),
    [
        (_MACHINE_PATHS, "cd /" + "work/main", True),
        (_MACHINE_PATHS, "'/" + "work'", True),
        (_MACHINE_PATHS, "/" + "root/.cache", True),
        (_MACHINE_PATHS, "/home/" + "ana/x", True),
        (_MACHINE_PATHS, "/workspace", False),
        (_MACHINE_PATHS, "./work/x", False),
        (_MACHINE_PATHS, "/proc/self/root/etc", False),
        (_MACHINE_PATHS, "HOME=/root", False),
        (_REGISTRIES, "https://x.jf" + "rog.io/pypi", True),
        (_REGISTRIES, "https://pypi.org/simple", False),
        (_LOOSE_ENDS, "# TO" + "DO: later", True),
        (_LOOSE_ENDS, "TODOS", False),
        (_PUBLIC_HOSTS, "pypi.org.evil.example", True),
    ],
)
def test_the_patterns_find_what_they_should(
    pattern: re.Pattern[str], text: str, forbidden: bool
) -> None:
    assert bool(pattern.search(text)) is forbidden


def test_sleeps_are_found_in_code_and_not_in_strings() -> None:
    assert _sleeps("import time\ntime.sleep(1)\nfrom time import sleep") == [2, 3]
    assert _sleeps("run('time.sleep(1)')\nanyio.sleep(0)") == []
