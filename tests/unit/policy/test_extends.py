from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.model.document import ProfileDocument
from stockade.model.errors import ProfileError
from stockade.model.profile import Profile
from stockade.policy.document import ProfileDocumentError, read_profile
from stockade.policy.engine import compile_profile
from stockade.policy.extends import compose, excesses
from stockade.policy.space import actions_of

_SERVER = "mcp: {s: {command: [server], tools: {t: {arguments: {n: "
_STRICTNESS = ["allow", "ask", "deny"]

_PARENT = """
version: 1
name: parent
limits: {memory: 1GiB, cpu_time: 1m}
budget: {usd: 2}
files: [{host: ./b, guest: /b, access: overlay}, {host: ./a, guest: /a}]
env: {A: one, B: two}
network:
  - {host: "*.example.com", methods: [GET, POST], paths: ["/x/**"], credential: c}
  - {host: db.internal, protocol: tcp, port: 5432}
credentials: {c: {from: "env:C"}}
models: [{provider: anthropic, models: ["claude-*"]}]
tools:
  read_file: {paths: ["/a/**", "/b/**"], timeout: 5s}
  run_command: {commands: ["pytest **", "git log"]}
mcp:
  s: {command: [server], tools: {t: {arguments: {n: {type: number, minimum: 1, maximum: 5}}}}}
approvals: [{action: "http:POST"}, {action: "tool:run_command"}]
"""


def _read(files: dict[str, str], name: str = "child") -> Profile:
    def read(path: Path) -> bytes:
        try:
            return files[path.name].encode()
        except KeyError:
            raise ProfileError(f"cannot read profile {path.name!r}: none") from None

    return read_profile(Path("/p") / name, read).profile


def _child(text: str, parent: str = _PARENT) -> Profile:
    return _read({"parent": parent, "child": f"version: 1\nextends: parent\n{text}"})


def _refusal(text: str, parent: str = _PARENT) -> list[str]:
    with pytest.raises(ProfileDocumentError) as caught:
        _child(text, parent)
    assert "widen: true" in caught.value.hint
    return [line.removeprefix("/p/child:") for line in caught.value.lines()]


def test_what_is_not_named_is_inherited() -> None:
    child = _child("name: child\nlimits: {memory: 512MiB}")
    parent = _child("")
    assert child.limits == parent.limits.override(memory="512MiB")
    assert (child.name, parent.name) == ("child", "parent")
    for section in ("files", "env", "network", "credentials", "tools", "mcp", "approvals"):
        assert getattr(child, section) == getattr(parent, section)


@pytest.mark.parametrize(
    "text",
    [
        "limits: {memory: 1GiB, cpu_time: 1m, processes: 2}",
        "budget: {usd: 1.5, tokens: 7}",
        "wall: {minimum: microvm}",
        "files: [{host: ./b, guest: /b}]",
        "files: []",
        "env: {A: one}",
        'network: [{host: api.example.com, methods: [GET], paths: ["/x/y"]}]',
        'network: [{host: "*.a.example.com", paths: ["/x/**"], methods: [POST], credential: c}]',
        "network: []",
        "models: [{provider: anthropic, models: [claude-x]}]",
        'tools: {read_file: {paths: ["/b/c/*"], timeout: 1s, output: 1KiB}}',
        'tools: {run_command: {commands: ["pytest -q", "pytest a **", "git log"]}}',
        _SERVER + "{type: integer, minimum: 2, maximum: 5, required: true}, m: {enum: [a]}}}}}}",
        "mcp: {}",
        'approvals: [{action: "model:*"}]',
    ],
)
def test_what_is_narrower_is_accepted(text: str) -> None:
    _child(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits: {memory: 2GiB}", "3:18: limits.memory: 2GiB is more than 1GiB"),
        ("limits: {cpu_time: 2m}", "3:20: limits.cpu_time: 2m is more than 1m"),
        ("budget: {usd: 3}", "3:15: budget.usd: 3 is more than 2"),
        ("wall: {minimum: gvisor}", "3:17: wall.minimum: gvisor is weaker than microvm"),
        ("image: other", "3:8: image: 'other' is not 'debian-python', as in the profile it"),
        ("files:\n- {host: ./b, guest: /b}\n- {host: ./a, guest: /a, access: overlay}", "5:3: fi"),
        ("files: [{host: ./c, guest: /b}]", "3:9: files[0]: no grant of the profile it extends"),
        ("env: {A: two}", "3:10: env.A: 'two' is not 'one'"),
        ("env: {C: x}", "3:10: env.C: the profile it extends does not set it"),
        ("network: [{host: example.com}]", "3:11: network[0]: no grant"),
        ('network: [{host: "*"}]', "3:11: network[0]: no grant"),
        ("network: [{host: db.internal, protocol: tcp, port: 5433}]", "3:11: network[0]: no"),
        ("network: [{host: x.example.com, methods: [PUT], paths: [/x/y]}]", "3:11: network[0]:"),
        ("models: [{provider: anthropic, models: ['*']}]", "3:10: models[0]: no grant"),
        ("tools: {read_file: {paths: ['/**'], timeout: 1s}}", "3:28: tools.read_file.paths: /**"),
        ("tools: {read_file: {paths: ['/a/b']}}", "3:20: tools.read_file.timeout: no bound is"),
        ("tools: {git_log: {}}", "3:18: tools.git_log: the profile it extends does not grant"),
        ("tools: {run_command: {commands: ['git **']}}", "3:33: tools.run_command.commands: git"),
        ("mcp: {s: {command: [other], tools: {t: {}}}}", "3:20: mcp.s.command: it must be the"),
        ("mcp: {x: {command: [x], tools: {}}}", "3:10: mcp.x: the profile it extends has no"),
        ("mcp: {s: {command: [server], tools: {u: {}}}}", "3:41: mcp.s.tools.u: it is not"),
        ("credentials: {c: {from: 'env:D'}}", "3:18: credentials.c: it is not the same"),
    ],
)
def test_what_is_wider_is_refused_with_its_line(text: str, message: str) -> None:
    assert any(line.startswith(message) for line in _refusal(text)), _refusal(text)
    _child(f"{text}\nwiden: true") if "credentials" not in text else None


def test_approvals_stay_whatever_is_said() -> None:
    child = _child("approvals: []\nwiden: true")
    assert [rule.action for rule in child.approvals] == ["http:POST", "tool:run_command"]
    without = _child("tools: {}\nwiden: true")
    assert [rule.action for rule in without.approvals] == ["http:POST"]


def test_a_cedar_file_may_forbid_but_not_permit() -> None:
    files = {
        "parent": _PARENT,
        "no.cedar": "forbid (principal, action, resource);",
        "yes.cedar": "permit (principal, action, resource);",
    }
    narrow = "version: 1\nextends: parent\npolicies: [no.cedar]"
    assert _read({**files, "child": narrow}).policies == (Path("/p/no.cedar"),)
    with pytest.raises(ProfileDocumentError, match="permits something"):
        _read({**files, "child": narrow.replace("no.", "yes.")})


def test_a_new_name_cannot_escape_a_cedar_file_that_names_the_old_one() -> None:
    files = {
        "parent": f"{_PARENT}\npolicies: [no.cedar]",
        "no.cedar": 'forbid (principal == Agent::"parent", action, resource);',
        "child": "version: 1\nextends: parent\nname: other",
    }
    with pytest.raises(ProfileDocumentError, match="may hold for 'parent' alone"):
        _read(files)
    _read({**files, "child": "version: 1\nextends: parent"})
    _read({**files, "no.cedar": "forbid (principal, action, resource);"})


def test_chains_are_bounded_and_cycles_are_refused() -> None:
    def files(count: int) -> dict[str, str]:
        chain = {f"p{n}": f"version: 1\nextends: p{n + 1}" for n in range(count - 1)}
        return {**chain, f"p{count - 1}": "version: 1"}

    _read(files(8), "p0")
    with pytest.raises(ProfileDocumentError, match="more than 8 profiles extend one another"):
        _read(files(9), "p0")
    with pytest.raises(ProfileDocumentError, match="extends this profile"):
        _read({"a": "version: 1\nextends: b", "b": "version: 1\nextends: a"}, "a")


def test_the_parents_mistakes_are_its_own() -> None:
    with pytest.raises(ProfileDocumentError, match=r"^/p/parent:1: unknown key"):
        _child("", parent="foo: 1")
    with pytest.raises(ProfileDocumentError, match="child:2: extends: cannot read profile"):
        _read({"child": "version: 1\nextends: none"})


def test_widen_alone_makes_no_sense() -> None:
    with pytest.raises(ProfileDocumentError, match="nothing to widen"):
        _read({"child": "version: 1\nwiden: true"})


_GLOBS = ["/a/**", "/a/*", "/a/b", "/a/b/**", "/**", "/a/?/c", "/b/**"]
_HOSTS = ["a.x.org", "*.x.org", "x.org", "*", "b.a.x.org"]
_COMMANDS = ["pytest **", "pytest -q", "git log", "git *", "git log **", "pytest a/* **"]


def _some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


_RULES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["integer", "number", "string"]),
        "enum": st.lists(st.sampled_from([1, 2, "/a/b", "x", True]), min_size=1, max_size=3),
        "required": st.booleans(),
    },
)
_NETWORK = st.fixed_dictionaries(
    {"host": st.sampled_from(_HOSTS), "paths": _some(_GLOBS)},
    optional={
        "methods": _some(["GET", "POST"]),
        "protocol": st.sampled_from(["http", "https"]),
        "port": st.sampled_from([443, 8443]),
    },
)
_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "network": st.lists(_NETWORK, max_size=2),
        "models": st.lists(
            st.fixed_dictionaries(
                {"provider": st.just("p"), "models": _some(["m-*", "m-1", "*", "*-1"])}
            ),
            max_size=1,
        ),
        "tools": st.fixed_dictionaries(
            {},
            optional={
                "read_file": st.fixed_dictionaries(
                    {"paths": _some(_GLOBS)},
                    optional={"arguments": st.fixed_dictionaries({"limit": _RULES})},
                ),
                "run_command": st.fixed_dictionaries({"commands": _some(_COMMANDS)}),
                "git_log": st.just({}),
            },
        ),
        "approvals": st.lists(
            st.fixed_dictionaries(
                {"action": st.sampled_from(["http:POST", "http:*", "model:m-1", "tool:*"])}
            ),
            max_size=1,
        ),
    },
)


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two profiles, mostly alike but for one kind of grant."""
    wide: dict[str, Any] = draw(_FIELDS)
    kind = draw(st.sampled_from(["anything", "network", "models", "paths", "commands", "rules"]))
    if kind == "anything":
        return wide, draw(_FIELDS)
    wide = {**wide, **_grant(draw, kind)}
    narrow = deepcopy(wide)
    narrow.update(_grant(draw, kind))
    for one, other in zip(wide.get("network", ()), narrow.get("network", ()), strict=False):
        # What matters for hosts and paths is seen only if the rest is the same.
        same = {key: value for key, value in one.items() if key not in ("host", "paths")}
        narrow["network"] = [{**same, "host": other["host"], "paths": other["paths"]}]
    return wide, narrow


def _grant(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    if kind == "network":
        return {"network": [draw(_NETWORK)]}
    if kind == "models":
        return {"models": [{"provider": "p", "models": draw(_some(["m-*", "m-1", "*", "*-1"]))}]}
    if kind == "commands":
        return {"tools": {"run_command": {"commands": draw(_some(_COMMANDS))}}}
    paths = draw(_some(_GLOBS)) if kind == "paths" else ["/**"]
    rules = {"limit": draw(_RULES)} if kind == "rules" else {}
    return {"tools": {"read_file": {"paths": paths, "arguments": rules}}}


@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(_pairs())
def test_what_a_narrower_profile_allows_the_wider_one_allows(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    wide, narrow = pair
    try:
        parent = Profile.model_validate(wide)
        child = ProfileDocument.model_validate({**narrow, "extends": "parent"})
        if list(excesses(parent, child)):
            return
        whole = Profile.model_validate(compose(parent, child))
    except ValueError:
        return  # approvals of tools that the other has
    loose, strict = compile_profile(parent), compile_profile(whole)
    for action in actions_of(parent, whole):
        order = [_STRICTNESS.index(p.decide(action).effect.value) for p in (loose, strict)]
        assert order[1] >= order[0], f"{action}\n{yaml.safe_dump(wide)}\n{yaml.safe_dump(narrow)}"
