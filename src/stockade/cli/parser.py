"""How one command line is read: ``argparse``, with each mistake told as all other errors are.

It is the standard library's because it starts in a tenth of the time that others take; see
``docs/decisions/0008-argparse.md``.
"""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any, NoReturn

from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH = 100  # columns; longer lines of help are hard to read
_INDENT = 26  # columns up to the explanation of an option


class Parser(argparse.ArgumentParser):
    """The options and arguments of one command, and its help.

    An option that takes a value may be given once, unless it collects values (``append``). Names
    of options are not abbreviated: a later version may have another that begins alike.
    """

    def __init__(self, prog: str, about: str) -> None:
        super().__init__(
            prog=prog,
            description=about,
            allow_abbrev=False,
            add_help=False,
            formatter_class=_Formatter,
        )
        self._positionals.title, self._optionals.title = "Arguments", "Options"
        self._takes_command = False
        self._before = ""
        for name in (None, "store"):
            self.register("action", name, _Once)
        self.add_argument("-h", "--help", action="help", help="Show this and exit.")

    def take_command(self, before: str = "", *, needed: bool = True) -> None:
        """Have everything after ``--`` kept, as it is, as ``command``; options stand before it.

        ``before`` is the argument that stands there too, if one does.
        """
        self._takes_command = True
        self._before = f"{before} " if before else ""
        command = "-- COMMAND..." if needed else "[-- COMMAND...]"
        self.usage = f"%(prog)s [OPTIONS] {self._before}{command}"

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Read ``words``; raise ``UsageError`` for those that make no sense.

        ``--help`` ends in ``SystemExit``, as everywhere in ``argparse``.
        """
        own, command = list(words), list[str]()
        if self._takes_command and "--" in own:
            end = own.index("--")
            own, command = own[:end], own[end + 1 :]
        arguments, unknown = self.parse_known_args(own)
        for word in unknown:
            if word != "--":  # Python before 3.12 leaves it in
                self._refuse(word)
        if self._takes_command:
            arguments.command = command
        return arguments

    def error(self, message: str) -> NoReturn:
        """Raise what ``argparse`` would print."""
        message = message.removeprefix("argument ")
        raise UsageError(message, hint=f"See {self.prog} --help.")

    @property
    def options(self) -> list[str]:
        """All options in their long form."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def _refuse(self, word: str) -> NoReturn:
        from stockade.model.wording import did_you_mean, quote

        if word.startswith("-"):
            name = word.partition("=")[0]
            self.error(f"unknown option {quote(name)}{did_you_mean(name, self.options)}")
        if self._takes_command:
            raise UsageError(
                f"unexpected {quote(word)}",
                hint=f"Write the command after two dashes: {self.prog} {self._before}-- COMMAND.",
            )
        self.error(f"unexpected {quote(word)}")


class _Once(argparse.Action):
    """Keeps a value, as ``store`` does, and refuses to quietly drop an earlier one."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if option_string and getattr(namespace, self.dest) is not self.default:
            raise argparse.ArgumentError(self, "may be given only once")
        setattr(namespace, self.dest, values)


class _Formatter(argparse.HelpFormatter):
    """Help in lines of bounded width, each option with all its names before its value."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=_INDENT, **options)
        self._width = min(self._width, _WIDTH)

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[Any],
        prefix: str | None = None,
    ) -> None:
        super().add_usage(usage, actions, groups, prefix or "Usage: ")

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, action.dest.upper())
        return f"{', '.join(action.option_strings)} {value}"

    def _split_lines(self, text: str, width: int) -> list[str]:
        # As the base class does, but a name such as debian-python stays in one piece.
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = self._split_lines(text, width - len(indent))
        return "\n".join(f"{indent}{line}" for line in lines)
