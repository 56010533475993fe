"""What is asked for in every spelling that has ever passed a filter; none may pass this one.

The profile below grants something near each attack, and the controls at the end are allowed, so
that a policy that denies everything fails here too.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.security.spellings import (
    ADDRESSES,
    CLIMBS,
    HOSTS,
    KERNEL,
    NO_PATHS,
    NOT_BELOW_EXAMPLE,
    ODD_PATHS,
    SECRETS,
)

from stockade.model.action import (
    Action,
    Connection,
    Execution,
    HttpRequest,
    Lookup,
    ModelCall,
    ToolCall,
)
from stockade.model.profile import Profile
from stockade.model.verdict import Effect
from stockade.policy.engine import Policy, compile_profile

_PROFILE = Profile.model_validate(
    {
        "name": "attacked",
        "network": [
            {"host": "allowed.com", "methods": ["GET"], "paths": ["/repos/acme/shop/**"]},
            {"host": "*.example.com", "methods": ["GET"], "paths": ["/public/*"]},
            {"host": "192.0.2.7", "protocol": "http", "methods": ["GET"]},
            {"host": "2001:db8::7", "protocol": "http", "methods": ["GET"]},
            {"host": "db.internal", "port": 5432, "protocol": "tcp"},
            {"host": "git.internal", "protocol": "ssh"},
        ],
        "models": [{"provider": "anthropic", "models": ["claude-*", "exact"]}],
        "tools": {
            "read_file": {"paths": ["/workspace/**"]},
            "write_file": {"paths": ["/tmp/**"]},
            "edit_file": {"paths": ["/workspace/src/*.py"]},
            "run_command": {"commands": ["pytest -q **", "git log", "cat docs/*", "ls src/**"]},
        },
        "mcp": {
            "hub": {
                "command": ["hub"],
                "tools": {
                    "search": {
                        "arguments": {
                            "flag": {"type": "boolean", "required": True},
                            "query": {"type": "string", "max_length": 20, "globs": ["repo-*"]},
                            "limit": {"type": "integer", "minimum": 1, "maximum": 100},
                            "mode": {"enum": ["fast", "slow", 1]},
                            "ratio": {"type": "number", "minimum": 0, "maximum": 1},
                            "tags": {"type": "array", "max_length": 3},
                        }
                    }
                },
            }
        },
    }
)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return compile_profile(_PROFILE)


def _file(tool: str, asked: object, leads: str | None) -> ToolCall:
    paths = {} if leads is None else {"path": leads}
    return ToolCall.model_construct(tool=tool, arguments={"path": asked}, paths=paths)


def _get(host: str, path: str = "/", **more: Any) -> HttpRequest:
    given = {"method": "GET", "scheme": "https", "port": 443, "query": "", **more}
    return HttpRequest.model_construct(host=host, path=path, **given)


def _search(**arguments: object) -> ToolCall:
    return ToolCall.model_construct(
        tool="hub__search", arguments={"flag": True, **arguments}, paths={}
    )


def _command(*argv: object) -> ToolCall:
    return ToolCall.model_construct(tool="run_command", arguments={"argv": list(argv)}, paths={})


_PATHS: list[Action] = [
    *(_file("read_file", climb.format(s), s) for climb, s in product(CLIMBS, SECRETS)),
    *(_file("read_file", climb.format(k), k) for climb, k in product(CLIMBS[:4], KERNEL)),
    # The asked path alone is innocent, the machine knows better: links, races, hard decodings.
    *(_file("read_file", "/workspace/link", leads) for leads in (*SECRETS, *KERNEL)),
    *(_file("write_file", "/tmp/link", leads) for leads in (*SECRETS, *KERNEL)),
    *(_file("read_file", "/workspace/%2e%2e/x", leads) for leads in SECRETS),
    # The other way round: what lies outside may not be reached by a link that leads in.
    *(_file("read_file", asked, "/workspace/x") for asked in (*SECRETS, *KERNEL)),
    *(_file("read_file", odd, odd) for odd in ODD_PATHS),
    *(_file("read_file", odd, "/workspace/x") for odd in ODD_PATHS),
    *(_file("read_file", "/workspace/x", odd) for odd in ODD_PATHS),
    *(_file("read_file", "/workspace/x", None) for _ in range(1)),
    *(_file("read_file", value, "/workspace/x") for value in NO_PATHS),
    *(_file("write_file", path, path) for path in ("/workspace/x", "/tm/x", "/tmpx", "/tmp/../x")),
    *(
        _file("edit_file", path, path)
        for path in (
            "/workspace/src/a/b.py",
            "/workspace/src/x.pyc",
            "/workspace/src/x.py/y",
            "/workspace/src/../x.py",
            "/workspace/src/..",
            "/workspace/src/.py/../../x.py",
            "/workspace/x.py",
            "/workspace/src/x.PY",
        )
    ),
    *(_file(tool, "/workspace/x", "/workspace/x") for tool in ("list_files", "search_files")),
    *(_file(tool, "/workspace/x", "/workspace/x") for tool in ("Read_file", "read_file ", "read")),
]

_NAMES: list[Action] = [
    *(_get(host, "/repos/acme/shop/x") for host in HOSTS),
    *(_get(host, "/public/x") for host in NOT_BELOW_EXAMPLE),
    *(_get(host, "/public/x") for host in ADDRESSES),
    *(_get(host, "/x", scheme="http", port=80) for host in ADDRESSES),
    *(Lookup.model_construct(host=host) for host in (*HOSTS, *NOT_BELOW_EXAMPLE, *ADDRESSES)),
    *(
        Connection.model_construct(protocol="tcp", host=host, port=5432)
        for host in (*HOSTS, *ADDRESSES, "db.internal.evil.com", "xdb.internal", "internal")
    ),
    *(
        Connection.model_construct(protocol=protocol, host=host, port=port)
        for protocol, host, port in (
            ("tcp", "db.internal", 5433),
            ("tcp", "db.internal", 0),
            ("tcp", "db.internal", -5432),
            ("tcp", "db.internal", 5432 + 65536),
            ("tcp", "db.internal", True),
            ("ssh", "db.internal", 5432),
            ("udp", "db.internal", 5432),
            ("TCP", "db.internal", 5432),
            ("tcp", "git.internal", 22),
            ("ssh", "git.internal", 23),
            ("tcp", "allowed.com", 443),
            ("tcp", "a.example.com", 443),
            ("tcp", "192.0.2.7", 80),
        )
    ),
]

_SHOP = "/repos/acme/shop"
_URLS: list[Action] = [
    *(
        _get("allowed.com", path)
        for path in (
            "",
            "*",
            "repos/acme/shop/x",
            "/repos/acme/shopx",
            "/repos/acme",
            "/repos/acme/shop2/x",
            "/REPOS/acme/shop/x",
            *(
                f"{_SHOP}/{up}{rest}"
                for up in (
                    "..",
                    ".",
                    "%2e%2e",
                    "%2E%2e",
                    ".%2e",
                    "%2e.",
                    "%2e",
                    "%252e%252e",
                    "..%2f",
                    "..%5c",
                    "..\\",
                    "..;",
                    "..;x=1",
                    "%c0%ae%c0%ae",
                    "%e0%80%ae%e0%80%ae",
                    "%uff0e%uff0e",
                    "%ef%bc%8e%ef%bc%8e",
                    "%e2%80%a5",
                    "%e2%80%a4%e2%80%a4",
                    "..%00",
                    "..%0a",
                    "..%09",
                    "..%3f",
                    "..%23",
                )
                for rest in ("", "/", "/secret", "/../x")
            ),
            f"{_SHOP}%2fx",
            f"{_SHOP}%2Fx",
            f"{_SHOP}/a%2f..%2f..%2fx",
            f"{_SHOP}%5cx",
            f"{_SHOP}/a%252fb",
            f"{_SHOP}/%25%32%65",
            f"{_SHOP}//x",
            f"//{_SHOP}",
            f"/{_SHOP}",
            f"{_SHOP}/x//",
            f"{_SHOP}/;a=b",
            f"{_SHOP}/a;b/../c",
            f"{_SHOP}/%3b",
            f"{_SHOP}\\x",
            f"{_SHOP}/x?y",
            f"{_SHOP}/x#y",
            f"{_SHOP}/%",
            f"{_SHOP}/%4",
            f"{_SHOP}/%zz",
            f"{_SHOP}/%u002f",
            f"{_SHOP}/%ff",
            f"{_SHOP}/%c3",
            f"{_SHOP}/%ed%a0%80",
            f"{_SHOP}/%ef%bc%8fx",
            f"{_SHOP}/%00",
            f"{_SHOP}/%0d%0aHost:%20evil.com",
            f"{_SHOP}/%7f",
            f"{_SHOP}/%c2%85",
            f"{_SHOP}/%e2%80%ae",
            f"{_SHOP}/x y",
            f"{_SHOP}/x\n",
            f"{_SHOP}/x\0",
            f"{_SHOP}/x\r\nHost: evil.com",
            f"{_SHOP}/é",
            f"{_SHOP}/\ud800",
            f"{_SHOP}/" + "a" * 65536,
            f"{_SHOP}/" + "../" * 20000,
            "https://allowed.com/repos/acme/shop/x",
            "//evil.com/repos/acme/shop/x",
            "@evil.com/repos/acme/shop/x",
        )
    ),
    *(
        _get("allowed.com", f"{_SHOP}/x", method=method)
        for method in ("POST", "HEAD", "get", "Get", "GET ", "GET\0", "", "*", "GETX", "G\u0415T")
    ),
    *(
        _get("allowed.com", f"{_SHOP}/x", **change)
        for change in (
            {"port": 80},
            {"port": 8443},
            {"port": 0},
            {"port": -443},
            {"port": 443 + 65536},
            {"port": "443"},
            {"scheme": "http"},
            {"scheme": "http", "port": 80},
            {"scheme": "ftp"},
            {"query": "a\r\nHost: evil.com"},
            {"query": "a#b"},
            {"query": "a b"},
            {"query": "\0"},
        )
    ),
    *(_get("a.example.com", path) for path in ("/public", "/public/a/b", "/public/%2e%2e", "/x")),
]

_VALUES: dict[str, tuple[object, ...]] = {
    "limit": (
        *(0, -1, 101, 10**30, -(10**400), 5.0, 5.5, True, False, None, "5", "", [], [5], {}),
        *(float("nan"), float("inf"), float("-inf"), "0x5", "5 ", b"5"),
    ),
    "ratio": (-0.1, 1.1, 2, True, None, "0.5", float("nan"), float("inf"), [], 1 + 1e-9),
    "query": (
        *("", "x", "repo", "Repo-x", "repo-a/b", "xrepo-a", " repo-a", "repo-" + "a" * 16),
        *("repo-" + "a" * 65536, "\u0433epo-a", "repo\u2010a", "repo-\ud800", "\nrepo-a"),
        *(None, 5, True, ["repo-a"], {"repo-a": 1}),
    ),
    "mode": ("", "Fast", "fast ", "fas", 2, True, None, ["fast"], {"fast": 1}, "1"),
    "tags": ("ab", 1, None, {}, [1, 2, 3, 4], True, [float("nan")], [{"a": [float("inf")]}]),
    "flag": (0, 1, "true", None, [], {}),
    "free": (float("nan"), "\ud800", {"\ud800": 1}, [[float("inf")]], ["\udfff"]),
}

_ARGUMENTS: list[Action] = [
    *(_search(**{name: value}) for name, values in _VALUES.items() for value in values),
    ToolCall.model_construct(tool="hub__search", arguments={}, paths={}),
    ToolCall.model_construct(tool="hub__search", arguments={"FLAG": True}, paths={}),
    *(
        ToolCall.model_construct(tool=tool, arguments={"flag": True}, paths={})
        for tool in (
            *("search", "hub", "hub__", "hub_search", "hub__Search", "hub__search ", "__search"),
            *("hub__search__", "hub__admin", "h\u0446b__search", "*", "", "hub__*", "a" * 65536),
        )
    ),
    *(
        _command(*argv)
        for argv in (
            (),
            ("",),
            ("pytest",),
            ("pytest", "-x"),
            ("pytest", "-q -x"),
            ("pytest -q",),
            ("/bin/pytest", "-q"),
            ("./pytest", "-q"),
            ("PYTEST", "-q"),
            ("pytest ", "-q"),
            ("git", "log", "-p"),
            ("git", "push"),
            ("git", "-c", "x", "log"),
            ("git log",),
            ("git",),
            ("sh", "-c", "pytest -q"),
            ("env", "pytest", "-q"),
            ("pytest;id", "-q"),
            ("pytest", "-q\0"),
            ("pytest", "-q", "a\0b"),
            ("pytest", "-q", "\ud800"),
            ("pytest", "-q", 5),
            ("pytest", "-q", None),
            ("pytest", "-q", ["x"]),
            ("cat", "docs/a/b"),
            ("cat", "docs/.."),
            ("cat", "docs/../x"),
            ("cat", "docs/a", "/etc/passwd"),
            ("cat", "/etc/passwd"),
            ("ls", "src/../../etc"),
            ("ls", "src/a/../../../etc"),
            ("ls", "src/.."),
            ("ls", "/src/x"),
            ("pytest", "-q", *["x"] * 2000),
            ("pytest", "-q", "x" * 200_000),
        )
    ),
    ToolCall.model_construct(tool="run_command", arguments={"argv": "pytest -q"}, paths={}),
    ToolCall.model_construct(tool="run_command", arguments={"command": ["git", "log"]}, paths={}),
    *(
        ModelCall.model_construct(provider=provider, model=model)
        for provider, model in (
            ("anthropic", "gpt-4"),
            ("anthropic", "Claude-3"),
            ("anthropic", "xclaude-3"),
            ("anthropic", "claude"),
            ("anthropic", "exactly"),
            ("anthropic", ""),
            ("anthropic", "claude-\n"),
            ("anthropic", "claude-\ud800"),
            ("anthropic", "claude-" + "x" * 65536),
            ("anthropic", "*"),
            ("Anthropic", "claude-3"),
            ("openai", "claude-3"),
            ("anthropic ", "claude-3"),
            ("", "claude-3"),
            ("*", "claude-3"),
        )
    ),
    *(Execution.model_construct(argv=argv) for argv in ((), ("",), ("a\0b",), ("\ud800",), (5,))),
]

_ATTACKS = [*_PATHS, *_NAMES, *_URLS, *_ARGUMENTS]

_CONTROLS: list[Action] = [
    _file("read_file", "/workspace/x", "/workspace/x"),
    _file("read_file", "/workspace", "/workspace"),
    _file("read_file", "/workspace/a/../b", "/workspace/b"),
    _file("read_file", "//workspace/./x", "/workspace/x"),
    _file("read_file", "/workspace/é/日本 x", "/workspace/é/日本 x"),
    _file("read_file", "/workspace/" + "a" * 255, "/workspace/" + "a" * 255),
    _file("read_file", "/workspace/link", "/workspace/real"),
    _file("write_file", "/tmp/x", "/tmp/x"),
    _file("edit_file", "/workspace/src/x.py", "/workspace/src/x.py"),
    _get("allowed.com", f"{_SHOP}/x"),
    _get("ALLOWED.com", f"{_SHOP}/x", query="a=b%20c"),
    _get("allowed.com.", f"{_SHOP}/a%20b%c3%a9/"),
    _get("a.example.com", "/public/x"),
    _get("a.b.EXAMPLE.com", "/public/x"),
    _get("b\u00fccher.example.com", "/public/x"),
    _get("xn--bcher-kva.example.com", "/public/x"),
    _get("192.0.2.7", "/x", scheme="http", port=80),
    _get("2001:db8:0::7", "/x", scheme="http", port=80),
    _get("[2001:DB8::7]", "/x", scheme="http", port=80),
    Connection(host="db.internal", port=5432),
    Connection(protocol="ssh", host="git.internal", port=22),
    Lookup(host="allowed.com"),
    Lookup(host="a.example.com"),
    Lookup(host="db.internal"),
    ModelCall(provider="anthropic", model="claude-3"),
    ModelCall(provider="anthropic", model="exact"),
    _search(query="repo-a", limit=100, mode="fast", ratio=0.5, tags=[1, 2, 3], other={"a": None}),
    _search(mode=1, ratio=1, limit=1, flag=False),
    _command("pytest", "-q"),
    _command("pytest", "-q", "any", "../words"),
    _command("git", "log"),
    _command("cat", "docs/a"),
    _command("ls", "src/a/b"),
    Execution(argv=("sh", "-c", "true")),
]


def test_the_attacks_are_many_and_different() -> None:
    assert len({repr(attack) for attack in _ATTACKS}) >= 500


@pytest.mark.parametrize("attack", _ATTACKS, ids=range(len(_ATTACKS)))
def test_no_attack_is_allowed(policy: Policy, attack: Action) -> None:
    verdict = policy.decide(attack)
    assert verdict.effect is Effect.DENY, verdict
    # A denial because something broke would hide that nothing was decided.
    assert "failed" not in verdict.reason
    # The refusal is for an agent's and a person's eyes: one printable line of bounded length.
    assert 0 < len(verdict.reason) <= 800
    assert verdict.reason.isprintable()
    assert verdict.hint.isprintable()


@pytest.mark.parametrize("control", _CONTROLS, ids=range(len(_CONTROLS)))
def test_what_is_granted_is_allowed(policy: Policy, control: Action) -> None:
    verdict = policy.decide(control)
    assert verdict.effect is Effect.ALLOW, verdict
