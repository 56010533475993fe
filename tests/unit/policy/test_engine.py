from __future__ import annotations

from typing import Any

import pytest
from cedarpy import PolicySet
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.action import (
    Action,
    Connection,
    Execution,
    HttpRequest,
    Lookup,
    ModelCall,
    ToolCall,
)
from stockade.model.approvals import ApprovalRule
from stockade.model.errors import ProfileError
from stockade.model.profile import Profile
from stockade.model.tools import ToolGrant, ToolServer
from stockade.model.verdict import Effect, Stage, Verdict
from stockade.policy import engine, slices
from stockade.policy.engine import Policy, compile_profile

_ORDER = list(Effect)

_GRANTS: dict[str, list[Any]] = {
    "network": [
        {"host": "a.example", "methods": ["GET", "POST"], "paths": ["/x/*", "/y/**"]},
        {"host": "a.example", "methods": ["GET"]},
        {"host": "*.example", "paths": ["/y/**"]},
        {"host": "*", "methods": ["HEAD"]},
        {"host": "192.0.2.1", "protocol": "http"},
        {"host": "a.example", "protocol": "tcp", "port": 443},
        {"host": "*.example", "protocol": "ssh"},
    ],
    "models": [
        {"provider": "p", "models": ["a*"]},
        {"provider": "p", "models": ["b"]},
        {"provider": "q", "models": ["*"]},
    ],
    "approvals": [
        {"action": "tool:*"},
        {"action": "http:POST", "host": "a.example"},
        {"action": "http:*", "host": "*.example"},
        {"action": "connect:ssh"},
        {"action": "model:p/a*"},
        {"action": "model:q"},
    ],
}
_TOOLS: dict[str, dict[str, Any]] = {
    "read_file": {"paths": ["/w/**", "/t/*"]},
    "make_patch": {},
    "run_command": {"commands": ["ls **", "git log"]},
    "list_files": {"paths": ["/w/**"], "arguments": {"depth": {"type": "integer", "maximum": 3}}},
}
_ON_TOOLS = 'forbid (principal, action == Action::"tool", resource)'
_FORBIDS = (
    'forbid (principal, action == Action::"http", resource) when { context.path like "/y/z*" };',
    _ON_TOOLS + ' when { context has leads_to && context.leads_to like "/w/s*" };',
    '@effect("ask") forbid (principal, action == Action::"lookup", resource);',
    _ON_TOOLS + ' when { resource.hasTag("depth") && resource.getTag("depth") == "2" };',
)


@st.composite
def _profiles(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **{key: draw(st.lists(st.sampled_from(of), max_size=6)) for key, of in _GRANTS.items()},
        "tools": {name: _TOOLS[name] for name in draw(st.sets(st.sampled_from(sorted(_TOOLS))))},
        "cedar": draw(st.lists(st.sampled_from(_FORBIDS), max_size=3)),
    }


def _compile(parts: dict[str, Any]) -> Policy:
    fields = {key: value for key, value in parts.items() if key != "cedar"}
    # Read alone: a profile would mind approvals of what it does not grant.
    approvals = tuple(map(ApprovalRule.model_validate, fields.pop("approvals", [])))
    profile = Profile.model_validate(fields).model_copy(update={"approvals": approvals})
    return compile_profile(profile, cedar={"own.cedar": "\n".join(parts.get("cedar", []))})


_HOST = st.sampled_from(
    ["a.example", "b.example", "A.Example.", "example", "192.0.2.1", "b.c", "::1"]
)
_PATH = st.sampled_from(["/", "/x/1", "/x/1/2", "/y", "/y/z", "/y/../x", "/t/1", "/w/s", "/w/x"])
_ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(
        HttpRequest,
        method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
        scheme=st.sampled_from(["http", "https"]),
        host=_HOST,
        port=st.sampled_from([80, 443]),
        path=_PATH,
    ),
    st.builds(
        Connection,
        protocol=st.sampled_from(["tcp", "ssh"]),
        host=_HOST,
        port=st.sampled_from([22, 443]),
    ),
    st.builds(Lookup, host=_HOST),
    st.builds(ModelCall, provider=st.sampled_from("pqr"), model=st.sampled_from(["a1", "b", "c"])),
    st.builds(
        lambda tool, path, leads, more: ToolCall(
            tool=tool, arguments={"path": path, **more}, paths={"path": leads}
        ),
        st.sampled_from(["read_file", "list_files", "make_patch", "write_file"]),
        _PATH,
        _PATH,
        st.dictionaries(st.just("depth"), st.sampled_from([2, 3, 4, True, "3"])),
    ),
    st.builds(
        lambda argv: ToolCall(tool="run_command", arguments={"argv": argv}),
        st.lists(st.sampled_from(["ls", "git", "log", "-l"]), max_size=3),
    ),
    st.just(Execution(argv=("sh",))),
)

_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_HOSTILE = st.one_of(
    st.builds(ToolCall.model_construct, tool=_JUNK, arguments=_JUNK, paths=_JUNK),
    st.builds(
        ToolCall.model_construct,
        tool=st.sampled_from(["read_file", "run_command", "list_files"]),
        arguments=st.dictionaries(st.sampled_from(["path", "argv", "depth"]), _JUNK),
        paths=st.dictionaries(st.just("path"), _JUNK),
    ),
    st.builds(
        HttpRequest.model_construct,
        method=_JUNK,
        scheme=_JUNK,
        host=_JUNK,
        port=_JUNK,
        path=_JUNK,
        query=_JUNK,
    ),
    st.builds(
        HttpRequest.model_construct,
        method=st.text(),
        scheme=st.just("https"),
        host=st.text() | _HOST,
        port=st.integers(),
        path=st.text().map("/".__add__),
        query=st.text(),
    ),
    st.builds(Connection.model_construct, protocol=_JUNK, host=_JUNK, port=_JUNK),
    st.builds(Lookup.model_construct, host=st.text() | _JUNK),
    st.builds(ModelCall.model_construct, provider=st.text() | _JUNK, model=st.text() | _JUNK),
    st.builds(Execution.model_construct, argv=_JUNK),
    st.builds(Execution.model_construct, argv=st.lists(st.text())),
    _JUNK,
)


@given(_profiles(), st.lists(_HOSTILE, min_size=1, max_size=5))
def test_any_value_at_all_gets_a_verdict(parts: dict[str, Any], actions: list[Any]) -> None:
    policy = _compile(parts)
    for action in actions:
        verdict = policy.decide(action)
        assert isinstance(verdict, Verdict)
        assert verdict.stage is Stage.POLICY
        assert verdict.reason.isprintable()
        assert len(verdict.reason) + len(verdict.hint) <= 2000
        assert policy.explain(action).verdict == verdict


@given(_profiles(), _ACTIONS, st.data())
def test_what_grants_less_or_asks_more_never_allows_more(
    parts: dict[str, Any], action: Action, data: st.DataObject
) -> None:
    narrower = {
        "network": [grant for grant in parts["network"] if data.draw(st.booleans())],
        "models": [grant for grant in parts["models"] if data.draw(st.booleans())],
        "tools": {n: grant for n, grant in parts["tools"].items() if data.draw(st.booleans())},
        "approvals": parts["approvals"]
        + data.draw(st.lists(st.sampled_from(_GRANTS["approvals"]), max_size=2)),
        "cedar": parts["cedar"] + data.draw(st.lists(st.sampled_from(_FORBIDS), max_size=2)),
    }
    wide, narrow = _compile(parts).decide(action), _compile(narrower).decide(action)
    assert _ORDER.index(narrow.effect) >= _ORDER.index(wide.effect)


@given(_profiles(), _ACTIONS)
def test_what_is_said_to_be_lacking_is_what_cedar_misses(
    parts: dict[str, Any], action: Action
) -> None:
    # Nothing forbids or asks here, so that a rule is lacking exactly when nothing grants.
    policy = _compile({**parts, "approvals": [], "cedar": []})
    explanation = policy.explain(action)
    if explanation.verdict.allowed:
        assert explanation.granted
        assert not explanation.nearest
    else:
        assert not explanation.granted
        assert all(near.lacks for near in explanation.nearest)


@given(_profiles(), _ACTIONS)
def test_a_file_that_says_nothing_changes_nothing(parts: dict[str, Any], action: Action) -> None:
    # With a file Cedar is told everything, without one only what the rules read.
    quiet = {**parts, "cedar": []}
    silent = {**parts, "cedar": ["forbid (principal, action, resource) when { 1 == 2 };"]}
    assert _compile(quiet).decide(action) == _compile(silent).decide(action)


@given(_profiles(), _ACTIONS)
def test_leaving_rules_out_that_cannot_match_changes_nothing(
    parts: dict[str, Any], action: Action
) -> None:
    every = _compile(parts).decide(action)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "_MANY", 0)
        assert _compile(parts).decide(action) == every


def _decide(action: Action, *cedar: str, **sections: Any) -> Verdict:
    return _compile({**sections, "cedar": list(cedar)}).decide(action)


_GET = HttpRequest(method="GET", host="a.example", port=443, path="/x/1")
_ANY = "permit (principal, action, resource);"


def test_a_verdict_names_its_rule() -> None:
    network = _GRANTS["network"][:1]
    assert _decide(_GET, network=network).rule == "network[0]"
    assert _decide(_GET).rule == "default"
    forbidden = _decide(_GET, _ANY, 'forbid (principal, action == Action::"http", resource);')
    assert (forbidden.effect, forbidden.rule) == (Effect.DENY, "cedar:own.cedar#policy1")
    assert _decide(_GET, _ANY).rule == "cedar:own.cedar#policy0"
    asked = _decide(_GET, network=network, approvals=[{"action": "http:get"}])
    assert (asked.effect, asked.rule) == (Effect.ASK, "approvals[0]")
    assert _decide(Execution(argv=("sh",))).rule == "run"


def test_a_refusal_says_what_is_allowed() -> None:
    call = ToolCall(tool="read_file", arguments={"path": "/etc/x"}, paths={"path": "/etc/x"})
    verdict = _decide(call, tools={"read_file": {"paths": ["/workspace/**"]}})
    assert verdict.reason == (
        "read_file is not granted: path '/etc/x' is outside what it may touch"
    )
    assert verdict.hint == "Granted: read_file may touch /workspace/**"
    assert _decide(call, tools={"make_patch": {}}).hint == "Granted: make_patch"
    assert _decide(call).hint == "The profile grants none."


def test_a_rule_of_a_file_may_give_its_reason() -> None:
    verdict = _decide(_GET, '@reason("not on\nSundays") forbid (principal, action, resource);')
    assert verdict.reason == "not on Sundays"


def test_what_would_be_denied_is_not_asked_about() -> None:
    ask = '@effect("ask") forbid (principal, action, resource);'
    assert _decide(_GET, ask).effect is Effect.DENY
    assert _decide(_GET, ask, _ANY).effect is Effect.ASK
    assert _decide(_GET, ask, _ANY, "forbid (principal, action, resource);").effect is Effect.DENY


def test_no_file_grants_what_has_no_clear_meaning() -> None:
    for action in (
        ToolCall(tool="read_file", arguments={"path": "/proc/1"}, paths={"path": "/w"}),
        HttpRequest(method="GET", host="127.1", port=443),
        HttpRequest(method="GET", host="a.example", port=443, path="/a/%2e%2e"),
    ):
        assert _decide(action, _ANY).rule == "default"


def test_a_rule_that_fails_denies() -> None:
    # Integers beyond 64 bits are an error of evaluation, which Cedar itself would pass over.
    overflow = (
        'forbid (principal, action == Action::"http", resource)'
        " when { context.port * 9223372036854775807 == 0 };"
    )
    verdict = _decide(_GET, _ANY, overflow)
    assert (verdict.effect, verdict.rule) == (Effect.DENY, "default")
    assert "failed" in verdict.reason


def test_a_failure_of_the_policy_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    class Panic(BaseException):
        """As an extension raises for a panic of its own."""

    def fail(*_: object) -> None:
        raise Panic

    policy = compile_profile(Profile())
    monkeypatch.setattr(engine, "facts_of", fail)
    verdict = policy.decide(_GET)
    assert (verdict.effect, verdict.reason) == (Effect.DENY, "the policy failed (Panic)")
    assert policy.explain(_GET).verdict == verdict


def test_agents_do_not_make_a_policy_grow() -> None:
    policy = _compile({"network": _GRANTS["network"]})
    for number in range(2000):
        policy.decide(HttpRequest(method="GET", host=f"h{number}.example", port=443))
        policy.decide(ToolCall(tool=f"t{number}"))
    assert len(policy._slices) < 10


def test_two_tools_of_one_name_are_an_error() -> None:
    # A document with such names is refused already; a policy must not depend on that.
    servers = {
        "a": ToolServer.model_construct(tools={"b__c": ToolGrant()}),
        "a__b": ToolServer.model_construct(tools={"c": ToolGrant()}),
    }
    profile = Profile().model_copy(update={"mcp": servers})
    with pytest.raises(ProfileError, match="'a__b__c'"):
        compile_profile(profile, source="p.yaml")


def test_the_text_is_cedar_and_has_every_rule() -> None:
    policy = _compile({**_GRANTS, "tools": _TOOLS, "cedar": list(_FORBIDS)})
    text = policy.text()
    assert len(PolicySet.from_str(text)) == text.count("principal")
    for name in ("network[6]", "models[2]", "approvals[5]", "tools.list_files", "run"):
        assert f'@id("{name}")' in text
    assert "// own.cedar#policy3" in text
