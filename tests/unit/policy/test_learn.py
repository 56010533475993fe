from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stockade.model.action import (
    Action,
    Connection,
    HttpRequest,
    Lookup,
    ModelCall,
    ToolCall,
)
from stockade.model.errors import ProfileError, StockadeError
from stockade.model.profile import Profile
from stockade.policy.actiontext import parse_action
from stockade.policy.document import parse_profile
from stockade.policy.engine import compile_profile
from stockade.policy.learn import Generalize, Learned, exact, learn
from stockade.policy.space import actions_of
from stockade.policy.writing import write_profile

_GRANTS = ("network:", "models:", "tools:", "mcp:")


def _learn(*texts: str, **options: Any) -> Learned:
    return learn(map(parse_action, texts), **options)


def _read(text: str) -> Profile:
    return parse_profile(text, source="learned.yaml", base=Path("/p"))


def _file(path: str, **arguments: Any) -> ToolCall:
    given = {"path": path, **arguments}
    return ToolCall(tool="read_file", arguments=given, paths={"path": path})


def _command(*words: str) -> ToolCall:
    return ToolCall(tool="run_command", arguments={"argv": list(words)})


def _get(path: str, method: str = "GET") -> HttpRequest:
    return HttpRequest(method=method, host="x.org", port=443, path=path)


_NAMES = st.sampled_from(["a", "b", "b.py", "*", "a b", "[x]", "\N{SNOWMAN}", "x\n", '"', "# c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
_HOSTS = st.sampled_from(["x.org", "a.x.org", "192.0.2.7", "2001:db8::1"])
_VALUES = st.sampled_from([1, 2, 0.5, "x", 'a"b', "no", "1", True, None, [1], {"a": 1}, "y" * 300])
_ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(_file, _PATHS),
    st.builds(lambda path, value: _file(path, limit=value), _PATHS, _VALUES),
    st.builds(
        lambda words: ToolCall(tool="run_command", arguments={"argv": words}),
        st.lists(_NAMES, min_size=1, max_size=3),
    ),
    st.sampled_from([ToolCall(tool="run_tests"), ToolCall(tool="git_log", arguments={"n": 3})]),
    st.builds(
        HttpRequest,
        method=st.sampled_from(["GET", "POST"]),
        scheme=st.sampled_from(["http", "https"]),
        host=_HOSTS,
        port=st.sampled_from([80, 443, 8443]),
        path=st.sampled_from(["/", "/a", "/a/", "/a/b", "/a%20b", "/*"]),
    ),
    st.builds(
        Connection,
        protocol=st.sampled_from(["tcp", "ssh"]),
        host=_HOSTS,
        port=st.sampled_from([22, 5432]),
    ),
    st.builds(Lookup, host=st.sampled_from(["x.org", "y.org"])),
    st.builds(ModelCall, provider=st.just("p"), model=st.sampled_from(["m", "m/2", "m-?"])),
)


def _closure(recorded: list[Action]) -> set[str]:
    """What a profile that allows ``recorded`` cannot help allowing, written as JSON."""
    calls = [a for a in recorded if isinstance(a, ToolCall)]
    names = {action.model_dump_json() for action in recorded}
    names |= {Lookup(host=a.host).model_dump_json() for a in recorded if hasattr(a, "host")}
    for call in calls:
        for other in (c for c in calls if c.tool == call.tool):
            mixed = {**call.arguments, "path": other.paths["path"]} if other.paths else None
            if mixed:
                names.add(
                    ToolCall(tool=call.tool, arguments=mixed, paths=other.paths).model_dump_json()
                )
    return names


def _plain(action: Action) -> bool:
    """Whether patterns can say it exactly, and all of it is listed."""
    text = action.model_dump_json()
    return not any(mark in text for mark in ("*", "\\n", "y" * 300, "null", "[1]", '{"a"'))


@settings(max_examples=80, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(_ACTIONS, min_size=1, max_size=6))
def test_what_was_recorded_is_allowed_and_nothing_else(recorded: list[Action]) -> None:
    before = compile_profile(Profile())
    found = learn(recorded)
    learned = _read(write_profile(found.profile, uses=found.uses))
    assert learned == found.profile
    policy = compile_profile(learned)
    left_out = {action.model_dump_json() for action, _ in found.left_out}
    for action in recorded:
        assert policy.decide(action).allowed or action.model_dump_json() in left_out, action
    if not all(map(_plain, recorded)):
        return
    allowed = _closure(recorded)
    for action in actions_of(learned):
        if policy.decide(action).allowed and not before.decide(action).allowed:
            if isinstance(action, ToolCall):
                action = action.model_copy(  # noqa: PLW2901 - compared without what is free
                    update={"arguments": dict(sorted(action.arguments.items()))}
                )
                same = [
                    call
                    for call in recorded
                    if isinstance(call, ToolCall)
                    and call.tool == action.tool
                    and set(action.arguments) <= {*call.arguments, "limit"}
                ]
                assert same, action
                if action.paths:
                    paths = {
                        c.paths["path"] for c in recorded if isinstance(c, ToolCall) and c.paths
                    }
                    assert action.paths["path"] in paths
            else:
                assert action.model_dump_json() in allowed, action


# A name with a wildcard is learned as a pattern that fits others as well.
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(_ACTIONS, min_size=1, max_size=5))
@example([_file("/a"), _file("/*")])
@example([_file("/*"), _file("/a"), _file("/**"), _file("/a*"), _file("/*a")])
@example([_command("../a"), _command("../*"), _command("?", "b"), _command("a", "b")])
@example([_get("/a"), _get("/*"), _get("/*", "POST"), _get("/?a"), _get("/?a", "HEAD")])
def test_each_line_of_a_grant_is_needed(recorded: list[Action]) -> None:
    found = learn(recorded)
    lines = write_profile(found.profile, uses=found.uses).splitlines()
    policy = compile_profile(found.profile)
    recorded = [action for action in recorded if policy.decide(action).allowed]
    start = next((n for n, line in enumerate(lines) if line in _GRANTS), len(lines))
    for number in range(start, len(lines)):
        text = "\n".join([*lines[:number], *lines[number + 1 :]]) + "\n"
        try:
            less = compile_profile(_read(text))
        except ProfileError:
            continue
        fewer = [action for action in recorded if not less.decide(action).allowed]
        # A look-up rests on any grant of its host, so a second one may not be missed by it.
        assert fewer, f"{lines[number]}\nin\n{text}"


def test_exact_values_are_the_default() -> None:
    found = _learn("tool:read_file path=/w/src/a.py n=1", "http:GET https://x.org/a/b")
    assert found.profile.tools["read_file"].paths == ("/w/src/a.py",)
    assert found.profile.tools["read_file"].arguments["n"].enum == (1,)
    assert found.profile.network[0].paths == ("/a/b",)
    assert found.profile.network[0].methods == ("GET",)


@pytest.mark.parametrize(
    ("how", "paths", "urls", "ruled"),
    [
        ([], ("/w/a",), ("/a/b",), True),
        ([Generalize.NONE], ("/w/a",), ("/a/b",), True),
        ([Generalize.FOLDER], ("/w/*",), ("/a/*",), True),
        ([Generalize.HOST], ("/w/a",), ("/**",), True),
        ([Generalize.ARGUMENTS], ("/w/a",), ("/a/b",), False),
    ],
)
def test_it_is_as_wide_as_asked_and_no_wider(
    how: list[Generalize], paths: tuple[str, ...], urls: tuple[str, ...], ruled: bool
) -> None:
    texts = ("tool:read_file path=/w/a n=1", "http:GET https://x.org/a/b")
    profile = _learn(*texts, generalize=how).profile
    grant = profile.tools["read_file"]
    assert (grant.paths, bool(grant.arguments)) == (paths, ruled)
    assert profile.network[0].paths == urls
    assert profile.network[0].methods == ("GET",)


def test_what_a_learned_pattern_fits_anyway_is_left_out() -> None:
    grants = learn([_file("/a"), _file("/*"), _file("/b/c"), _command("a"), _command("*")]).profile
    assert grants.tools["read_file"].paths == ("/?", "/b/c")
    assert grants.tools["run_command"].commands == ("'?'",)
    [one, other] = learn([_get("/a"), _get("/b", "POST"), _get("/*")]).profile.network
    assert (one.paths, one.methods) == (("/b",), ("POST",))
    assert (other.paths, other.methods) == (("/?",), ("GET",))


def test_where_a_link_leads_is_learned_too() -> None:
    call = ToolCall(tool="read_file", arguments={"path": "/w/a"}, paths={"path": "/data/a"})
    assert learn([call]).profile.tools["read_file"].paths == ("/w/a", "/data/a")


def test_the_base_keeps_what_a_journal_does_not_tell() -> None:
    base = _read(
        """
version: 1
name: base
image: other
limits: {memory: 64MiB}
files: [{host: a, guest: /a}]
network: [{host: "*.x.org", credential: c}, {host: y.org}]
credentials: {c: {from: "env:C"}}
tools: {read_file: {paths: ["/**"], timeout: 3s}, git_log: {}}
mcp: {s: {command: [x], tools: {t: {}, u: {}}}, r: {command: [y], tools: {}}}
approvals: [{action: "tool:git_log"}, {action: "http:GET"}]
"""
    )
    found = _learn(
        "tool:read_file path=/a/b", "http:GET https://a.x.org/q", "tool:s__t k=1", base=base
    )
    profile = found.profile
    assert (profile.image, profile.files, profile.limits) == (base.image, base.files, base.limits)
    assert profile.tools["read_file"].timeout == 3
    assert list(profile.tools) == ["read_file"]
    [grant] = profile.network
    assert (grant.host, grant.credential) == ("a.x.org", "c")
    assert list(profile.mcp) == ["s"]
    assert list(profile.mcp["s"].tools) == ["t"]
    assert [rule.action for rule in profile.approvals] == ["http:GET"]
    assert _read(write_profile(profile)) == profile


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tool:nope", "no such tool"),
        ("tool:s__t", "its server is in no profile; give --profile"),
        ("model:p/a*", "its name has a '*'"),
        ("http:GET https://127.1/", "refused host '127.1'"),
    ],
)
def test_what_cannot_be_granted_is_told(text: str, reason: str) -> None:
    [(action, why)] = _learn(text).left_out
    assert action == parse_action(text)
    assert why.startswith(reason)


def test_more_than_a_profile_holds_is_one_error() -> None:
    actions = [_file(f"/w/{number}") for number in range(300)]
    with pytest.raises(StockadeError, match="more than a profile can hold"):
        learn(actions)
    assert learn(actions, generalize=[Generalize.FOLDER]).profile.tools["read_file"].paths == (
        "/w/*",
    )


def test_wildcards_in_names_fit_one_character_each() -> None:
    assert exact("/a*b?\n") == "/a?b??"
