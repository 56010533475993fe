"""One attempt, and short ways of writing the most usual ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stockade.selftest.hosts import API

CRLF = "\r\n"
MARK = "{mark}"
"""Stands in an attempt's arguments for the mark that it will be known by, and is as long as one."""


@dataclass(frozen=True)
class Attempt:
    """What is tried: ``how`` is a function of ``stockade.selftest.program``."""

    category: str
    name: str
    how: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def marked(self, mark: str) -> tuple[str, str, dict[str, Any]]:
        """What the program in the machine is told."""
        return mark, self.how, _fill(self.arguments, mark)


def _fill(value: Any, mark: str) -> Any:
    match value:
        case str():
            return value.replace(MARK, mark)
        case list():
            return [_fill(one, mark) for one in value]
        case dict():
            return {key: _fill(one, mark) for key, one in value.items()}
    return value


def lines(*words: str, body: str = "") -> str:
    """A request of these lines."""
    return CRLF.join(words) + CRLF + CRLF + body


def get(target: str, *fields: str, host: str = API, method: str = "GET", body: str = "") -> str:
    """A request for ``target`` that asks for the connection to be closed."""
    return lines(
        f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *fields, body=body
    )


def asking(
    category: str,
    name: str,
    text: str,
    *,
    host: str = API,
    tls: str | None = None,
    port: int = 443,
    plain: bool = False,
    **more: str | float,
) -> Attempt:
    """An attempt by a request written out, over TLS to ``host`` (as ``tls``, if given).

    What does not depend on TLS is tried without (``plain``), which an emulated machine does faster.
    """
    if plain:
        port, tls = 80, ""
    server = host if tls is None else tls
    arguments: dict[str, Any] = {"host": host, "port": port, "text": text, "tls": server, **more}
    return Attempt(category, name, "talk", arguments)
