"""How long the policy takes for one decision, by the number of rules in the profile.

Beside it, of the same turns: one plain call of cedarpy for the same profile (text in, all rules),
and one with everything parsed ahead and a single rule, below which no decision can go.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cedarpy import Entities, PolicySet, is_authorized

from stockade.model.action import Connection, HttpRequest, Lookup, ModelCall, ToolCall
from stockade.model.profile import Profile
from stockade.policy.engine import Policy, compile_profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench._measure import distributions, in_turns, options, ratio, report

    from stockade.model.action import Action
else:
    from _measure import distributions, in_turns, options, ratio, report

_CEDAR = 'forbid (principal, action == Action::"http", resource) when { context.port == 25 };'


def _mixed(rules: int) -> Profile:
    """A profile of many hosts: nine in ten rules are of the network, the others of tools."""
    hosts = [
        {"host": f"api{index}.example.com", "paths": [f"/repos/acme/app{index}/**"]}
        for index in range(rules * 9 // 10 - 1)
    ]
    tools = {"read_file": {"paths": ["/workspace/**"]}, "make_patch": {}}
    others = {
        f"tool{index}": {"arguments": {"limit": {"type": "integer", "maximum": 100}}}
        for index in range(max(1, min(rules // 10 - 3, 250)))
    }
    return Profile.model_validate(
        {
            "name": "mixed",
            "network": [*hosts, {"host": "*.example.org"}],
            "tools": tools,
            "mcp": {"hub": {"command": ["hub"], "tools": others}},
            "models": [{"provider": "anthropic", "models": ["claude-*"]}],
        }
    )


def _one_host(rules: int) -> Profile:
    """The hardest case: all rules are of one host, so that all may concern a request."""
    grants = [
        {"host": "api.example.com", "paths": [f"/repos/acme/app{index}/**"]}
        for index in range(rules)
    ]
    return Profile.model_validate({"name": "one-host", "network": grants})


_ACTIONS: dict[str, Action] = {
    "http_allowed": HttpRequest(
        method="GET", host="api0.example.com", port=443, path="/repos/acme/app0/pulls"
    ),
    "http_denied": HttpRequest(
        method="POST", host="api0.example.com", port=443, path="/repos/acme/app0/pulls"
    ),
    "http_wildcard": HttpRequest(method="GET", host="a.example.org", port=443, path="/x"),
    "tool_allowed": ToolCall(
        tool="read_file", arguments={"path": "/workspace/x"}, paths={"path": "/workspace/x"}
    ),
    "lookup_allowed": Lookup(host="api0.example.com"),
    "model_allowed": ModelCall(provider="anthropic", model="claude-3"),
    "connect_unknown": Connection(host="db.example.net", port=5432),
}


def _calls(policy: Policy, actions: dict[str, Action]) -> dict[str, Callable[[], object]]:
    for action in actions.values():
        policy.decide(action)  # the first of a kind parses what concerns it
    return {name: partial(policy.decide, action) for name, action in actions.items()}


def _plain(text: str) -> Callable[[], object]:
    request = {
        "principal": 'Agent::"mixed"',
        "action": 'Action::"http"',
        "resource": 'Host::"api0.example.com"',
        "context": {
            "scheme": "https",
            "port": 443,
            "method": "GET",
            "name": "api0.example.com",
            "path_globs": ["/repos/acme/app0/**"],
        },
    }
    return lambda: is_authorized(request, text, "[]")


def _least() -> Callable[[], object]:
    policies = PolicySet.from_str("permit (principal, action, resource);")
    nobody = Entities.from_json_str("[]")
    request = {
        "principal": {"type": "Agent", "id": "mixed"},
        "action": {"type": "Action", "id": "http"},
        "resource": {"type": "Host", "id": "api0.example.com"},
        "context": "{}",
    }
    return lambda: is_authorized(request, policies, nobody)


def main() -> None:
    parser = options(__doc__.partition("\n")[0], runs=2000)
    parser.add_argument("--rules", type=int, nargs="+", default=[10, 100, 1000])
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for rules in arguments.rules:
        mixed = compile_profile(_mixed(rules))
        with_file = compile_profile(_mixed(rules), cedar={"bench.cedar": _CEDAR})
        crowded = compile_profile(_one_host(rules))
        one_host = HttpRequest(
            method="GET", host="api.example.com", port=443, path="/repos/acme/app3/pulls"
        )
        candidates = {
            **_calls(mixed, _ACTIONS),
            **_calls(with_file, {"with_cedar_file": _ACTIONS["http_allowed"]}),
            **_calls(crowded, {"all_on_one_host": one_host}),
            "cedarpy_least": _least(),
        }
        times = in_turns(arguments.runs, candidates)
        # Text of a thousand rules takes a tenth of a second to parse, each time.
        beside = in_turns(
            max(20, arguments.runs // 20),
            {"decide": candidates["http_allowed"], "cedarpy_plain": _plain(mixed.text())},
        )
        times["cedarpy_plain"] = beside["cedarpy_plain"]
        every = [value for name in _ACTIONS for value in times[name]]
        results[str(rules)] = {
            "microseconds": _microseconds({"every_action": every, **times}),
            "cedarpy_plain_to_decide": ratio(beside["cedarpy_plain"], beside["decide"]),
            "decide_to_cedarpy_least": ratio(every, times["cedarpy_least"]),
        }
    report("decisions", "microseconds", {"runs": arguments.runs, "rules": results})


def _microseconds(series: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return distributions({n: [value * 1e3 for value in values] for n, values in series.items()})


if __name__ == "__main__":
    main()
