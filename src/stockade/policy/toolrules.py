"""Granted tools as rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from stockade.model.errors import ProfileError
from stockade.model.tools import BUILT_IN, SEPARATOR, ArgumentRule, ToolGrant
from stockade.model.wording import quote
from stockade.policy import cedartext as cedar
from stockade.policy.arguments import wrong_with
from stockade.policy.commands import CommandPattern
from stockade.policy.rules import Context, Lacks, Rule, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.model.profile import Profile
    from stockade.policy.facts import Facts


def tool_rules(profile: Profile, source: str) -> Iterator[Rule]:
    """Give a rule for each tool of Stockade's own and of the profile's tool servers."""
    for name, grant in profile.tools.items():
        yield _rule(profile.name, f"tools.{name}", name, grant, source)
    for server, of in profile.mcp.items():
        for name, grant in of.tools.items():
            place = f"mcp.{server}.tools.{name}"
            yield _rule(profile.name, place, f"{server}{SEPARATOR}{name}", grant, source)


def _rule(agent: str, place: str, tool: str, grant: ToolGrant, source: str) -> Rule:
    when: list[str] = []
    uses: set[str] = set()
    known = None if place.startswith("mcp.") else BUILT_IN.get(tool)
    takes_path, takes_command = bool(known and known.paths), bool(known and known.commands)
    # A bound that cannot be kept grants nothing, nor does a tool that nobody knows the paths of.
    kept = (
        (known is not None or place.startswith("mcp."))
        and takes_path == (grant.paths is not None)
        and takes_command == (grant.commands is not None)
    )
    if not kept:
        when.append("false")
    if takes_path:
        globs = cedar.texts(grant.paths or ())
        when.append(f"context.path_globs.containsAny({globs})")
        when.append(f"context.leads_to_globs.containsAny({globs})")
        uses |= {"path_globs", "leads_to_globs"}
    if takes_command:
        when.append(f"context.command_globs.containsAny({cedar.texts(grant.commands or ())})")
        uses.add("command_globs")
    if grant.arguments:
        when.append(f"context.kept.containsAll({cedar.texts(grant.arguments)})")
        uses.add("kept")
    return Rule(
        id=place,
        action="tool",
        key=tool,
        cedar=cedar.rule(
            "permit",
            place,
            agent=agent,
            action="tool",
            resource=cedar.entity("Tool", tool),
            when=when,
        ),
        uses=frozenset(uses),
        allows=_allows(tool, grant, kept=kept),
        lacks=_lacks(grant, kept=kept),
        globs=grant.paths or (),
        commands=tuple(_commands(place, grant, source)),
        arguments=grant.arguments,
    )


def _commands(place: str, grant: ToolGrant, source: str) -> Iterator[CommandPattern]:
    for index, text in enumerate(grant.commands or ()):
        try:
            yield CommandPattern(text)
        except ValueError:
            raise ProfileError(
                f"{source or 'profile'}: {place}.commands[{index}]: {quote(text)} has a quote that"
                " does not close",
                hint="Write the command as for a shell.",
            ) from None


def _allows(tool: str, grant: ToolGrant, *, kept: bool) -> str:
    if not kept:
        return ""
    parts = []
    if grant.paths:
        parts.append(f"{tool} may touch {shortened(grant.paths)}")
    if grant.commands:
        parts.append(f"{tool} may run {shortened([quote(text) for text in grant.commands])}")
    return "; ".join(parts)


def _lacks(grant: ToolGrant, *, kept: bool) -> Lacks:
    def lacks(facts: Facts, context: Context) -> list[str]:
        found = []
        if not kept:
            found.append("what the profile says of it cannot be kept (see stockade policy check)")
        if "path" in facts.context and not context["path_globs"]:
            found.append(f"path {quote(facts.context['path'])} is outside what it may touch")
        elif "leads_to" in facts.context and not context["leads_to_globs"]:
            leads = quote(facts.context["leads_to"])
            found.append(
                f"path {quote(facts.context['path'])} leads to {leads}, outside what it may touch"
            )
        if "command" in facts.context and not context["command_globs"]:
            found.append(f"command {quote(facts.context['command'])} is not among those it may run")
        kept_arguments = cast("list[str]", context.get("kept", []))
        for name in grant.arguments:
            if name not in kept_arguments:
                rule = grant.arguments[name]
                found.append(f"argument {quote(name)} {argument_fault(rule, name, facts)}")
        return found

    return lacks


def argument_fault(rule: ArgumentRule, name: str, facts: Facts) -> str:
    """Say what is wrong with one argument; nothing if it is as it may be."""
    if name not in facts.arguments:
        return "must be given" if rule.required else ""
    return wrong_with(rule, facts.arguments[name])
