from __future__ import annotations

import pytest
from cedarpy import PolicySet, is_authorized
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.approvals import ApprovalRule
from stockade.model.profile import Profile
from stockade.policy import cedartext
from stockade.policy.otherrules import approval_rules, like, model_rules, run_rule


def test_what_a_person_starts_is_allowed() -> None:
    rule = run_rule(Profile())
    assert (rule.id, rule.action, rule.key, rule.grants) == ("run", "run", "", True)


def test_models_are_found_by_their_provider() -> None:
    profile = Profile.model_validate({"models": [{"provider": "p", "models": ["a-*", "b"]}]})
    (rule,) = model_rules(profile)
    assert (rule.id, rule.key, rule.uses) == ("models[0]", "p", frozenset({"model"}))


@pytest.mark.parametrize(
    ("grant", "key"),
    [
        ({"provider": "openai"}, "api.openai.com"),
        ({"provider": "anthropic"}, "api.anthropic.com"),
        ({"provider": "p", "host": "models.example"}, "models.example"),
    ],
)
def test_the_name_of_a_host_of_models_may_be_looked_up(grant: dict[str, str], key: str) -> None:
    profile = Profile.model_validate({"models": [{**grant, "models": ["a-*"]}]})
    _, rule = model_rules(profile)
    assert (rule.id, rule.action, rule.key, rule.grants) == ("models[0]", "lookup", key, True)


@pytest.mark.parametrize(
    ("approval", "key", "uses"),
    [
        ({"action": "tool:*"}, "", set()),
        ({"action": "tool:a_*"}, "", {"tool"}),
        ({"action": "http:post", "host": "*.a.example"}, "*.a.example", {"name", "method"}),
        ({"action": "http:*", "host": "a.example"}, "a.example", set()),
        ({"action": "http:*", "host": "*"}, "", set()),
        ({"action": "connect:ssh"}, "", {"protocol"}),
        ({"action": "model:x"}, "", {"full", "provider", "model"}),
    ],
)
def test_an_approval_forbids_until_asked(
    approval: dict[str, str], key: str, uses: set[str]
) -> None:
    profile = Profile().model_copy(update={"approvals": (ApprovalRule.model_validate(approval),)})
    (rule,) = approval_rules(profile, "")
    assert (rule.id, rule.key, rule.grants) == ("approvals[0]", key, False)
    assert rule.uses == uses
    (policy,) = PolicySet.from_str(rule.cedar).to_pst().static_policies.values()
    assert (policy.effect, policy.annotations["effect"]) == ("forbid", "ask")


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=10))
def test_patterns_of_models_match_as_in_cedar(pattern: str, text: str) -> None:
    policies = (
        "permit (principal, action, resource) when"
        f" {{ context.x like {cedartext.pattern(pattern)} }};"
    )
    request = {
        "principal": 'A::"a"',
        "action": 'Action::"a"',
        "resource": 'A::"a"',
        "context": {"x": text},
    }
    assert like(pattern, text) == is_authorized(request, policies, []).allowed
