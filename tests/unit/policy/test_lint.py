from __future__ import annotations

import time
from pathlib import Path

import pytest

from stockade.model.network import NetworkGrant
from stockade.model.profile import Profile
from stockade.policy.document import parse, read_profile
from stockade.policy.findings import KINDS
from stockade.policy.lint import findings, lint

_CREDENTIAL = 'credentials: {c: {from: "env:C"}}\n'
_REPO = "files: [{host: a, guest: /w}, {host: b, guest: /o, access: overlay}]\n"


def _found(text: str) -> list[str]:
    parsed = parse(f"version: 1\n{text}", source="p.yaml", base=Path("/p"))
    return [f"{p.line}:{p.column} {p.rule} {p.message}" for p in lint(parsed)]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            'network:\n- {host: "*.a.org"}\n- {host: b.a.org, methods: [GET]}',
            "4:3 unreachable-grant network[1]: network[0] allows all of it already",
        ),
        (
            'network:\n- {host: a.org, paths: ["/x/**"]}\n- {host: a.org, paths: ["/**/y"]}',
            "4:3 overlapping-grants network[1]: network[0] allows some of it as well",
        ),
        (
            "models:\n- {provider: p, models: ['*']}\n- {provider: p, models: [m]}",
            "4:3 unreachable-grant models[1]",
        ),
        ('network: [{host: "*"}]', "2:18 any-host network[0].host: '*' stands for nearly all"),
        ('network: [{host: "*.org"}]', "2:18 any-host"),
        (
            'network: [{host: "*.a.org", credential: c}]\ncredentials: {c: {from: "env:C"}}',
            "2:41 wide-credential network[0].credential: 'c' is sent to every host",
        ),
        (
            _CREDENTIAL + "network: [{host: a.org, protocol: http, credential: c}]",
            "3:53 plain-credential",
        ),
        (
            _REPO + 'tools: {write_file: {paths: ["/w/**"]}}',
            "3:30 unneeded-write tools.write_file.paths[0]: '/w/**' is in a read-only copy",
        ),
        ('tools: {edit_file: {paths: ["/etc/**"]}}', "2:29 unneeded-write"),
        ('tools: {read_file: {paths: ["/data/**"]}}', "2:29 nothing-there"),
        ('tools: {run_command: {commands: ["bash -c **"]}}', "2:34 any-command"),
        ('tools: {run_command: {commands: ["*"]}}', "2:34 any-command"),
        ('tools: {run_command: {commands: ["/usr/bin/python3 *"]}}', "2:34 any-command"),
        (
            'network: [{host: a.org}]\napprovals: [{action: "http:POST"}]',
            "3:13 idle-approval approvals[0]: no 'http:POST' is allowed",
        ),
        (
            'network: [{host: a.org}]\napprovals: [{action: "http:GET", host: b.org}]',
            "3:13 idle-approval",
        ),
        ('approvals: [{action: "model:*"}]', "2:13 idle-approval"),
        ('approvals: [{action: "connect:*"}]', "2:13 idle-approval"),
        ('tools: {read_file: {paths: ["/tmp/{a,b}"]}}', "2:29 literal-brackets"),
        ("env: {GITHUB_TOKEN: x}", "2:21 secret-in-environment"),
    ],
)
def test_what_is_suspicious_is_found_where_it_stands(text: str, finding: str) -> None:
    found = _found(text)
    assert any(line.startswith(finding) for line in found), found


@pytest.mark.parametrize(
    "text",
    [
        _REPO + 'tools: {write_file: {paths: ["/o/**", "/tmp/x"]}, read_file: {paths: ["/w/**"]}}',
        'network: [{host: a.org}, {host: b.org}, {host: "*.c.org"}]',
        "network: [{host: a.org, methods: [GET]}, {host: a.org, methods: [POST]}]",
        'tools: {run_command: {commands: ["pytest **", "python3 /w/*.py"]}}',
        'network: [{host: a.org, methods: [POST]}]\napprovals: [{action: "http:P*"}]',
        'models: [{provider: p, models: ["m-*"]}]\napprovals: [{action: "model:p/m-1"}]',
        'tools: {git_log: {}}\napprovals: [{action: "tool:git_*"}]',
        "env: {TOKENIZERS: x}",
    ],
)
def test_what_is_usual_is_not_suspicious(text: str) -> None:
    assert _found(text) == []


def test_what_is_inherited_is_told_where_it_stands_only() -> None:
    files = {
        "a": 'version: 1\nnetwork: [{host: "*"}]\napprovals: [{action: "model:*"}]',
        "b": 'version: 1\nextends: a\napprovals: [{action: "connect:*"}]',
    }
    found = lint(read_profile(Path("/p/b"), lambda path: files[path.name].encode()))
    assert [(p.line, p.rule) for p in found] == [(3, "idle-approval")]


def test_every_kind_of_finding_has_a_title_and_a_help() -> None:
    for name, kind in KINDS.items():
        assert kind.title, name
        assert kind.help.endswith("."), name


def test_thousands_of_grants_are_looked_through_in_bounded_time() -> None:
    grants = tuple(NetworkGrant(host="a.org", paths=(f"/{n}/**",)) for n in range(2_000))
    started = time.perf_counter()
    assert list(findings(Profile(network=grants))) == []
    assert time.perf_counter() - started < 60
