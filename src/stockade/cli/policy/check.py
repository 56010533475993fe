"""``stockade policy check``: what is wrong with profiles, and what is suspicious."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import ProfileError
from stockade.policy.findings import KINDS
from stockade.policy.yamltree import Problem

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from stockade.cli.parser import Parser

_ABOUT = (
    "With errors nothing runs; warnings are about what is valid and suspicious. The exit code is 0"
    " if there is no error, 1 if there are warnings and --strict is given, 2 if there are errors."
)


def add_arguments(parser: Parser) -> None:
    """Declare which files, and how to tell."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="Profiles to check.")
    parser.add_argument(
        "--format",
        choices=("text", "json", "sarif"),
        default="text",
        help="How to print what is found: text, json or sarif (default: %(default)s).",
    )
    parser.add_argument("--strict", action="store_true", help="Exit with 1 if there are warnings.")
    parser.epilog = _ABOUT


def run(arguments: Namespace) -> int:
    """Check every file and print all that is found."""
    found = {name: _check(Path(name)) for name in arguments.files}
    _PRINTERS[arguments.format](found)
    levels = {KINDS[problem.rule].error for problems in found.values() for problem in problems}
    if True in levels:
        return 2
    return 1 if levels and arguments.strict else 0


def _check(path: Path) -> Sequence[Problem]:
    from stockade.cli.profiles import compiled, read
    from stockade.policy.document import ProfileDocumentError
    from stockade.policy.lint import lint

    try:
        parsed = read(path)
    except ProfileDocumentError as error:
        if error.source != str(path):
            # In the profile that it extends.
            return [Problem(1, 1, str(error), error.hint, "extends")]
        return error.problems
    except ProfileError as error:
        return [Problem(1, 1, str(error), error.hint, "file")]
    try:
        compiled(parsed)
    except ProfileError as error:
        return [Problem(1, 1, str(error), error.hint, "policy")]
    return lint(parsed)


def _text(found: Mapping[str, Sequence[Problem]]) -> None:
    from stockade.cli.messages import printable

    for path, problems in found.items():
        for p in problems:
            level = "error" if KINDS[p.rule].error else "warning"
            hint = f". {p.hint}" if p.hint else ""
            line = f"{path}:{p.line}:{p.column}: {level}: {p.message}{hint} [{p.rule}]"
            print(printable(line))
        if not problems:
            print(printable(f"{path}: ok"))


def _json(found: Mapping[str, Sequence[Problem]]) -> None:
    import json

    entries = [
        {
            "file": path,
            "line": p.line,
            "column": p.column,
            "level": "error" if KINDS[p.rule].error else "warning",
            "rule": p.rule,
            "message": p.message,
            "hint": p.hint,
        }
        for path, problems in found.items()
        for p in problems
    ]
    print(json.dumps(entries, indent=2))


def _sarif(found: Mapping[str, Sequence[Problem]]) -> None:
    import json

    from stockade import __version__
    from stockade.policy.sarif import sarif

    print(json.dumps(sarif(found, version=__version__), indent=2))


_PRINTERS = {"text": _text, "json": _json, "sarif": _sarif}
