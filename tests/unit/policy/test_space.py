from __future__ import annotations

from pathlib import Path

from stockade.model.action import HttpRequest, ModelCall, ToolCall
from stockade.model.network import NetworkGrant
from stockade.model.profile import Profile
from stockade.model.tools import BUILT_IN
from stockade.policy.document import parse_profile
from stockade.policy.engine import compile_profile
from stockade.policy.globs import matches
from stockade.policy.space import MAX_ACTIONS, actions_of, around

_PROFILE = parse_profile(
    """
version: 1
network:
  - {host: "*.x.org", methods: [GET, PATCH], paths: ["/a/**", "/b/*.json"]}
  - {host: db, protocol: tcp, port: 5432}
models: [{provider: p, models: ["m-*"]}]
tools:
  read_file: {paths: ["/w/**"], arguments: {n: {minimum: 1, maximum: 5}}}
  run_command: {commands: ["git log **"]}
mcp: {s: {command: [x], tools: {t: {arguments: {q: {max_length: 3}}}}}}
""",
    source="p",
    base=Path("/"),
)


def test_each_grant_has_actions_on_both_sides_of_it() -> None:
    policy = compile_profile(_PROFILE)
    allowed, denied = set[str](), set[str]()
    for action in actions_of(_PROFILE):
        verdict = policy.decide(action)
        name = getattr(action, "tool", action.kind)
        (allowed if verdict.allowed else denied).add(name)
    both = {"http", "connect", "model", "read_file", "run_command", "s__t"}
    assert both <= allowed
    assert both <= denied
    assert set(BUILT_IN) <= allowed | denied


def test_bounds_are_met_from_both_sides() -> None:
    actions = actions_of(_PROFILE)
    numbers = {
        a.arguments.get("n")
        for a in actions
        if isinstance(a, ToolCall) and "n" in a.arguments and isinstance(a.arguments["n"], int)
    }
    assert {0, 1, 5, 6} <= numbers
    requests = [a for a in actions if isinstance(a, HttpRequest)]
    assert {"GET", "PATCH", "POST"} <= {a.method for a in requests}
    assert {"x.org", "x.x.org", "xx.org", "x.org.example.org"} <= {a.host for a in requests}
    assert {"m-x", "m-", "xm-x"} <= {a.model for a in actions if isinstance(a, ModelCall)}


def test_patterns_have_neighbours() -> None:
    found = around("/a/*.py")
    assert {matches("/a/*.py", text) for text in found} == {True, False}
    assert around("/a") == ["/a", "/ax", "/a/x", "/"]


def test_there_are_no_more_than_can_be_tried() -> None:
    grants = tuple(NetworkGrant(host=f"h{n}.org", paths=(f"/{n}/**",)) for n in range(500))
    actions = actions_of(Profile(network=grants))
    assert len(actions) <= MAX_ACTIONS
    assert len({action.model_dump_json() for action in actions}) == len(actions)


def test_what_denies_all_has_something_to_deny() -> None:
    assert {action.kind for action in actions_of(Profile())} == {"tool", "run"}
