"""What is valid in a profile and still suspicious."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from typing import TYPE_CHECKING

from stockade.model.conflicts import matches
from stockade.model.network import Protocol
from stockade.model.profile import Access
from stockade.model.wording import place, quote
from stockade.policy import covers, patterns
from stockade.policy.findings import KINDS
from stockade.policy.problems import as_written
from stockade.policy.yamltree import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.model.approvals import ApprovalRule
    from stockade.model.network import NetworkGrant
    from stockade.model.profile import Profile
    from stockade.policy.document import Parsed

Finding = tuple[str, Place, str]
"""The kind, the place in the profile, and what is said of it."""

_WRITERS = ("write_file", "edit_file")
_READERS = ("read_file", "list_files", "search_files")
# Where the workload's user can write in every machine, and what any image has at its top.
_SCRATCH = ("/tmp/**", "/var/tmp/**", "/home/agent/**", "/run/**")  # noqa: S108 - in the machine
# fmt: off
_TOP = (
    "bin", "etc", "home", "lib", "lib64", "opt", "root", "run", "sbin", "srv", "tmp", "usr", "var",
)
# fmt: on
_IMAGE = tuple(f"/{name}/**" for name in _TOP)
_SHELLS = re.compile(
    r"(?:.*/)?(?:(?:ba|da|z|fi|k)?sh|python[0-9.]*|perl|ruby|node|env|xargs|sudo|busybox)"
)
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY)S?$", re.IGNORECASE
)
_MAX_COMPARED = 2_000
"""Pairs of overlapping grants to report or to look into for one host, at most."""


def lint(parsed: Parsed) -> list[Problem]:
    """All that is suspicious in what a profile's own file says, in the order of its lines."""
    own = set(parsed.document.model_fields_set)
    found = []
    for kind, path, message in findings(parsed.profile):
        if path[0] not in own:
            continue  # inherited, and told where it stands
        if path[0] == "approvals" and isinstance(path[1], int):
            rule = parsed.profile.approvals[path[1]]
            if rule not in parsed.document.approvals:
                continue
            path = ("approvals", parsed.document.approvals.index(rule))  # noqa: PLW2901 - in the file
        path = as_written(path, parsed.tree)  # noqa: PLW2901 - as above
        position = parsed.tree.position(path)
        text = f"{place(path)}: {message}"
        found.append(Problem(*position, text, KINDS[kind].help, kind))
    return sorted(set(found))


def findings(profile: Profile) -> Iterator[Finding]:
    """All that is suspicious in a profile."""
    yield from _pairs(profile)
    for index, grant in enumerate(profile.network):
        yield from _host(("network", index), grant)
    yield from _tools(profile)
    for index, rule in enumerate(profile.approvals):
        if not _ever_asks(rule, profile):
            yield "idle-approval", ("approvals", index), f"no {quote(rule.action)} is allowed"
    for name in profile.env:
        if _SECRET_NAME.search(name):
            yield "secret-in-environment", ("env", name), "the agent can read it"


def _pairs(profile: Profile) -> Iterator[Finding]:
    """Grants that an earlier one covers, or has something in common with."""
    earlier: dict[str, list[int]] = defaultdict(list)
    compared = 0
    for index, grant in enumerate(profile.network):
        # Only a wildcard, or a grant of the very same host, can have to do with another.
        wild = grant.host.startswith("*")
        others = range(index) if wild else sorted(earlier["*"] + earlier[grant.host])
        for other in others:
            compared += 1
            if compared > _MAX_COMPARED:
                return
            relation = _relation(profile.network[other], grant)
            if relation:
                yield relation, ("network", index), _RELATIONS[relation].format(f"network[{other}]")
                break
        earlier["*" if wild else grant.host].append(index)
    for index, model in enumerate(profile.models):
        for other in range(min(index, 64)):
            if covers.models_cover(profile.models[other], model):
                kind = "unreachable-grant"
                yield kind, ("models", index), _RELATIONS[kind].format(f"models[{other}]")
                break


_RELATIONS = {
    "unreachable-grant": "{} allows all of it already",
    "overlapping-grants": "{} allows some of it as well",
}


def _relation(earlier: NetworkGrant, later: NetworkGrant) -> str:
    if covers.network_covers(earlier, later):
        return "unreachable-grant"
    return "overlapping-grants" if covers.networks_overlap(earlier, later) else ""


def _host(path: Place, grant: NetworkGrant) -> Iterator[Finding]:
    wild = grant.host.startswith("*")
    if wild and grant.host.count(".") < 2:
        yield "any-host", (*path, "host"), f"{quote(grant.host)} stands for nearly all hosts"
    if grant.credential is not None:
        if wild:
            message = f"{quote(grant.credential)} is sent to every host below {quote(grant.host)}"
            yield "wide-credential", (*path, "credential"), message
        if grant.protocol is Protocol.HTTP:
            message = f"{quote(grant.credential)} is sent in the clear"
            yield "plain-credential", (*path, "credential"), message
    for index, glob in enumerate(grant.paths):
        yield from _brackets((*path, "paths", index), glob)


def _brackets(path: Place, glob: str) -> Iterator[Finding]:
    if set("[]{}") & set(glob):
        yield "literal-brackets", path, f"the brackets in {quote(glob)} stand for themselves"


def _tools(profile: Profile) -> Iterator[Finding]:
    changeable = [f"{f.guest}/**" for f in profile.files if f.access is Access.OVERLAY]
    fixed = [f"{f.guest}/**" for f in profile.files if f.access is Access.READ]
    granted = changeable + fixed
    for name, grant in profile.tools.items():
        for index, glob in enumerate(grant.paths or ()):
            path: Place = ("tools", name, "paths", index)
            yield from _brackets(path, glob)
            if name in _WRITERS and not patterns.overlap([*changeable, *_SCRATCH], [glob]):
                in_fixed = bool(fixed) and patterns.covers(fixed, glob)
                why = "a read-only copy" if in_fixed else "neither an overlay nor scratch space"
                yield "unneeded-write", path, f"{quote(glob)} is in {why}"
            if name in _READERS and not patterns.overlap([*granted, *_IMAGE], [glob]):
                message = f"no file grant and no image provides {quote(glob)}"
                yield "nothing-there", path, message
        for index, command in enumerate(grant.commands or ()):
            words = shlex.split(command)
            free = any(word[0] in "*?" for word in words[1:] if word)
            if words[0][:1] in ("*", "?") or (free and _SHELLS.fullmatch(words[0])):
                message = f"{quote(command)} can run any other command"
                yield "any-command", ("tools", name, "commands", index), message


def _ever_asks(rule: ApprovalRule, profile: Profile) -> bool:
    """Whether some grant allows what ``rule`` is about; tools are checked as a conflict."""
    kind, _, pattern = rule.action.partition(":")
    if kind == "model":
        return any(
            _meet(pattern, name)
            for grant in profile.models
            for model in grant.models
            for name in (model, grant.provider, f"{grant.provider}/{model}")
        )
    if kind not in ("http", "connect"):
        return True
    looked_into = (Protocol.HTTP, Protocol.HTTPS)
    for grant in profile.network:
        if (grant.protocol in looked_into) is not (kind == "http"):
            continue
        if rule.host not in (None, "*") and not covers.hosts_overlap(str(rule.host), grant.host):
            continue
        names = grant.methods if kind == "http" else (grant.protocol.value,)
        if any(matches(p, name) for p in (pattern, pattern.upper()) for name in names):
            return True
    return False


def _meet(one: str, other: str) -> bool:
    """Whether two patterns of names have a name in common."""
    return patterns.overlap(
        *([name.replace("/", "\1").replace("?", "\2")] for name in (one, other))
    )
