"""Every mistake on the command line ends in one line and a code, never in a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stockade import __version__
from stockade.cli.main import COMMANDS, run


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run"], 2, "no command given"),
        (["run", "--nope", "--", "true"], 2, "--nope"),
        (["run", "--timeout", "5x", "--", "true"], 2, "'5x' is not a duration"),
        (["run", "--limit", "memry=1GiB", "--", "true"], 2, "did you mean 'memory'"),
        (["run", "--env", "novalue", "--", "true"], 2, "is not a variable"),
        (["run", "--file", "nowhere", "--", "true"], 2, "is not a file grant"),
        (["run", "--image", "nope", "--", "true"], 125, "unknown image 'nope'"),
        (["run", "--profile", "/nonexistent.yaml", "--", "true"], 125, "No such file"),
        (["run", "true"], 2, "after two dashes"),
        (["run", "--timeout", "1s", "--timeout", "2s", "--", "true"], 2, "only once"),
        (["bogus"], 2, "bogus"),
        (["kil"], 2, "did you mean 'kill'?"),
        (["image", "buidl"], 2, "did you mean 'build'?"),
        (["--", "ps"], 2, "unknown command"),
        (["kill", "zz"], 125, "no machine has the id 'zz'"),
        (["image", "remove", "nope"], 125, "no image 'nope'"),
        (["pause", "zz"], 125, "no machine has the id 'zz'"),
        (["resume", "zz", "--", "true"], 125, "no machine has the id 'zz'"),
        (["fork", "zz", "--", "true"], 125, "no machine has the id 'zz'"),
        (["fork", "zz", "true"], 2, "stockade fork MACHINE -- COMMAND"),
        (["fork"], 2, "required: MACHINE"),
        (["rollback", "no-such", "--", "true"], 125, "no checkpoint 'no-such'"),
        (["rollback", "a/b", "--", "true"], 2, "is not the name of a checkpoint"),
        (["checkpoint", "take", "zz"], 125, "no machine has the id 'zz'"),
        (["checkpoint", "remove", "no-such"], 125, "no checkpoint 'no-such'"),
        (["template", "remove", "zz"], 2, "at least 6 digits"),
        (["template", "remove", "zzzzzz"], 125, "no template 'zzzzzz'"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("stockade: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"stockade {__version__}"


# Each takes from 20 to 150 ms to import, which is more than all of these commands' own work.
_HEAVY = {"anyio", "asyncio", "pydantic", "pydantic_core", "rich", "yaml", "importlib.metadata"}
# What only building, an examination of the host or a mistake needs.
_RARE = {
    "rich",
    "yaml",
    "difflib",
    "stockade.policy",
    "stockade.sandbox.checks",
    "stockade.sandbox.doctor",
    *(
        f"stockade.sandbox.images.{name}"
        for name in (
            "apt", "build_kit", "build_runtime", "initramfs", "interpreter", "mmdebstrap",
            "modules", "relock", "sources.directory", "sources.oci", "stages",
        )
    ),
}  # fmt: skip


def _imported(code: str, *arguments: str) -> set[str]:
    """Run ``code`` in a fresh interpreter and return the modules it has in the end."""
    code += "\nprint('MODULES', *sys.modules)"
    argv = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        ["ps"],
        ["ps", "--json"],
        ["image", "--help"],
        ["image", "build", "--help"],
        ["checkpoint", "take", "--help"],
        ["template", "list", "--help"],
        *([command, "--help"] for command in COMMANDS),
    ],
    ids=" ".join,
)
def test_what_is_quick_imports_nothing_that_is_slow(words: list[str]) -> None:
    code = "import sys; from stockade.cli.main import run; assert run(sys.argv[1:]) == 0"
    assert not _imported(code, *words) & (_HEAVY | _RARE)


def test_to_kill_a_machine_imports_nothing_that_is_slow() -> None:
    code = "import sys; from stockade.cli.main import run; assert run(['kill', 'nope']) == 125"
    assert not _imported(code) & (_HEAVY | _RARE)


@pytest.mark.parametrize(
    "words", [["pause", "nope"], ["fork", "nope"], ["checkpoint", "take", "nope"]], ids=" ".join
)
def test_to_find_no_machine_imports_nothing_that_is_slow(words: list[str]) -> None:
    code = "import sys; from stockade.cli.main import run; assert run(sys.argv[1:]) == 125"
    assert not _imported(code, *words) & (_HEAVY | _RARE)


def test_a_command_does_not_import_the_others() -> None:
    code = "import sys; from stockade.cli.main import run; run(['ps', '--help'])"
    others = {f"stockade.cli.{command}" for command in COMMANDS} - {"stockade.cli.ps"}
    assert not _imported(code) & others


_FIND_EVERYTHING = """
import anyio, sys
from stockade.cli import running
from stockade.sandbox.choice import choose_backend
from stockade.sandbox.images.prepare import prepare, prepare_runtime

async def find():
    await choose_backend(None)
    await prepare("debian-python")
    await prepare_runtime()

anyio.run(find)
"""


def test_a_run_with_a_ready_image_imports_nothing_that_builds() -> None:
    subprocess.run([sys.executable, "-c", _FIND_EVERYTHING], check=True)  # ready from now on
    found = _imported(_FIND_EVERYTHING)
    assert "stockade.session" in found
    assert not found & _RARE
