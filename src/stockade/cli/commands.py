"""From the first words of a command line to the one module that does what they name.

A command is a module of its name. ``add_arguments(parser)`` declares what it takes and
``run(arguments)`` does its work and returns the exit code; what only the work needs is imported
there, so that ``--help`` and mistakes cost nothing. A group of commands is a package of its name
whose ``COMMANDS`` are the names and the help of those in it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from stockade.cli.parser import Parser
from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def dispatch(
    words: Sequence[str],
    commands: Mapping[str, str],
    *,
    package: str,
    prog: str,
    about: str,
    version: str = "",
) -> int:
    """Run the command of ``commands`` that ``words`` name and return its exit code.

    Only its own module is imported. Raises ``UsageError`` for what makes no sense, and
    ``SystemExit`` where help or the version was all that was asked for.
    """
    if not words or words[0].startswith("-"):
        parser = group_parser(commands, prog=prog, about=about, version=version)
        parser.parse(words or ["--help"])
        raise _unknown(words[0], commands)  # such as "--"
    name, *rest = words
    if name not in commands:
        raise _unknown(name, commands)
    module = import_module(f"{package}.{name}")
    prog, about = f"{prog} {name}", commands[name]
    if below := getattr(module, "COMMANDS", None):
        return dispatch(rest, below, package=module.__name__, prog=prog, about=about)
    parser = Parser(prog, about)
    module.add_arguments(parser)
    code: int = module.run(parser.parse(rest))
    return code


def group_parser(
    commands: Mapping[str, str], *, prog: str, about: str, version: str = ""
) -> Parser:
    """The parser of what may stand in place of a command, with a help that lists them all."""
    parser = Parser(prog, about)
    parser.usage = "%(prog)s COMMAND ..."
    if version:
        parser.add_argument(
            "--version", action="version", version=version, help="Show the version and exit."
        )
    listed = parser.add_argument_group("Commands")
    for name, text in commands.items():
        listed.add_argument(name, nargs="?", help=text)
    parser.epilog = f"See {prog} COMMAND --help for what each takes."
    return parser


def _unknown(name: str, commands: Mapping[str, str]) -> UsageError:
    from stockade.model.wording import did_you_mean, quote

    return UsageError(
        f"unknown command {quote(name)}{did_you_mean(name, commands)}",
        hint=f"Choose one of {', '.join(commands)}.",
    )
