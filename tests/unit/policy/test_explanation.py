from __future__ import annotations

from stockade.model.action import HttpRequest
from stockade.model.profile import Profile
from stockade.policy.engine import compile_profile
from stockade.policy.explanation import MOST, Nearest

_PROFILE = Profile.model_validate(
    {
        "network": [
            {"host": "a.example", "methods": ["PUT"], "paths": ["/x"]},
            {"host": "*.example", "methods": ["GET", "PUT"]},
            *({"host": "a.example", "port": 1000 + n} for n in range(MOST)),
        ],
        "approvals": [{"action": "http:PUT"}],
    }
)


def _request(method: str, path: str = "/") -> HttpRequest:
    return HttpRequest(method=method, host="a.example", port=443, path=path)


def test_a_denial_names_the_nearest_grants() -> None:
    explanation = compile_profile(_PROFILE).explain(_request("POST"))
    assert explanation.nearest[0] == Nearest(
        "network[1]", "GET, PUT https://*.example:443 /**", ("only GET, PUT is granted",)
    )
    assert len(explanation.nearest) == MOST
    assert not explanation.granted


def test_all_that_had_a_part_is_named() -> None:
    text = 'forbid (principal, action == Action::"http", resource) when { context.path == "/x" };'
    policy = compile_profile(_PROFILE, cedar={"own.cedar": text})
    explanation = policy.explain(_request("PUT", "/x"))
    assert explanation.granted == ("network[0]", "network[1]")
    assert explanation.asked == ("approvals[0]",)
    assert explanation.forbade == ("cedar:own.cedar#policy0",)
    assert explanation.verdict.rule == "cedar:own.cedar#policy0"
    assert policy.explain(_request("GET")).asked == ()
