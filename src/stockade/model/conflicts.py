"""What cannot hold in a profile although each of its values is fine by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.model.tools import BUILT_IN, SEPARATOR
from stockade.model.wording import did_you_mean, place, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.model.profile import Profile
    from stockade.model.tools import ToolGrant


@dataclass(frozen=True, slots=True)
class Conflict:
    """One such thing: where it stands, and in one line each what is wrong and what to do."""

    path: tuple[int | str, ...]
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{place(self.path)}: {self.message}"


def conflicts(profile: Profile) -> Iterator[Conflict]:
    """Find them all."""
    for name, grant in profile.tools.items():
        yield from _tool(name, grant)
    yield from _servers(profile)
    yield from _credentials(profile)
    yield from _approvals(profile)


def _tool(name: str, grant: ToolGrant) -> Iterator[Conflict]:
    here = ("tools", name)
    known = BUILT_IN.get(name)
    if known is None:
        hint = f"Choose one of {', '.join(BUILT_IN)}; tools of MCP servers go under 'mcp'."
        yield Conflict(here, f"there is no such tool{did_you_mean(name, BUILT_IN)}", hint)
        return
    for key, wanted, given, example in (
        ("paths", bool(known.paths), grant.paths, 'paths: ["/workspace/**"]'),
        ("commands", known.commands, grant.commands, 'commands: ["pytest **"]'),
    ):
        if wanted and given is None:
            yield Conflict(here, f"{name} needs {key!r}", f"Write for example {example}.")
        if given is not None and not wanted:
            who = [tool for tool in BUILT_IN if getattr(BUILT_IN[tool], key)]
            message = f"{name} takes no {key}"
            yield Conflict((*here, key), message, f"Remove it; it is for {', '.join(who)}.")


def _servers(profile: Profile) -> Iterator[Conflict]:
    for server, grants in profile.mcp.items():
        if SEPARATOR in server or server.endswith("_"):
            # The agent knows the tool as SERVER__TOOL, which must be read in one way only.
            message = f"the name of a server must not contain {SEPARATOR!r} or end in '_'"
            yield Conflict(("mcp", server), message, "Choose another name.")
        for name, grant in grants.tools.items():
            for key in ("paths", "commands"):
                if getattr(grant, key) is not None:
                    yield Conflict(
                        ("mcp", server, "tools", name, key),
                        f"{key!r} is for Stockade's own tools",
                        "Say which of its arguments is meant: arguments: {NAME: {globs: [...]}}.",
                    )


def _credentials(profile: Profile) -> Iterator[Conflict]:
    users = [(("network", index), grant.credential) for index, grant in enumerate(profile.network)]
    users += [(("models", index), grant.credential) for index, grant in enumerate(profile.models)]
    used = {name for _, name in users}
    for path, name in users:
        if name is not None and name not in profile.credentials:
            yield Conflict(
                (*path, "credential"),
                f"there is no credential {quote(name)}{did_you_mean(name, profile.credentials)}",
                f"Add it under 'credentials', such as {name}: {{from: env:TOKEN}}."
                if name.isidentifier()
                else "Add it under 'credentials'.",
            )
    for name in profile.credentials:
        if name not in used:
            yield Conflict(
                ("credentials", name),
                "no grant under 'network' or 'models' uses it",
                f"Write 'credential: {name}' where it is to be sent, or remove it.",
            )


def _approvals(profile: Profile) -> Iterator[Conflict]:
    granted = tool_names(profile)
    for index, rule in enumerate(profile.approvals):
        kind, _, pattern = rule.action.partition(":")
        if kind == "tool" and not any(matches(pattern, name) for name in granted):
            yield Conflict(
                ("approvals", index, "action"),
                f"no tool {quote(pattern)} is granted{did_you_mean(pattern, granted)}",
                "Grant it under 'tools' or 'mcp', or remove the approval.",
            )


def tool_names(profile: Profile) -> list[str]:
    """All tools that ``profile`` grants, as the agent knows them."""
    return [
        *profile.tools,
        *(
            f"{server}{SEPARATOR}{name}"
            for server in profile.mcp
            for name in profile.mcp[server].tools
        ),
    ]


def matches(pattern: str, text: str) -> bool:
    """Whether ``pattern``, in which ``*`` stands for any characters, fits ``text``.

    In time of the product of both lengths, whatever they are.
    """
    at, star, resume, index = 0, -1, 0, 0
    while index < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume, at = at, index, at + 1
        elif at < len(pattern) and pattern[at] == text[index]:
            at, index = at + 1, index + 1
        elif star >= 0:
            resume += 1
            at, index = star + 1, resume
        else:
            return False
    return pattern[at:].strip("*") == ""
