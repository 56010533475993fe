from __future__ import annotations

from stockade.model.action import HttpRequest
from stockade.model.profile import Profile
from stockade.policy import slices
from stockade.policy.facts import Facts, facts_of
from stockade.policy.filerules import read_cedar
from stockade.policy.networkrules import network_rules
from stockade.policy.slices import Slice, asks


def _request(path: str) -> Facts:
    return facts_of(HttpRequest(method="GET", host="a.example", port=443, path=path))


def _slice(count: int, cedar: str = "") -> Slice:
    grants = [{"host": "a.example", "paths": [f"/{n}/**", f"/{n}x"]} for n in range(count)]
    profile = Profile.model_validate({"network": grants})
    rules = [rule for rule in network_rules(profile, "") if rule.action == "http"]
    return Slice(profile.name, rules, read_cedar("x.cedar", cedar, profile.name))


def test_cedar_is_told_what_the_rules_read() -> None:
    facts = _request("/1/2")
    assert _slice(3).context(facts) == {
        "scheme": "https",
        "port": 443,
        "method": "GET",
        "path_globs": ["/1/**"],
    }


def test_with_a_file_cedar_is_told_everything() -> None:
    facts = _request("/1/2")
    context = _slice(3, "forbid (principal, action, resource) when { false };").context(facts)
    assert context == {**facts.context, "path_globs": ["/1/**"]}


def test_the_rules_that_decided_are_named_by_their_place() -> None:
    part, facts = _slice(12), _request("/11/x")
    answer = part.ask(facts, part.context(facts))
    assert answer.allowed
    assert [rule.id for rule in answer.decided] == ["network[11]"]


def test_rules_that_cannot_match_are_left_out_of_many() -> None:
    part, facts = _slice(40), _request("/7/x")
    context = part.context(facts)
    narrowed = part.narrowed(context)
    assert [rule.id for rule in narrowed.rules] == ["network[7]"]
    assert part.narrowed(context) is narrowed
    assert _slice(3).narrowed(context).rules != narrowed.rules


def test_no_more_than_so_many_are_kept() -> None:
    part = _slice(300)
    for number in range(300):
        facts = _request(f"/{number}/x")
        assert len(part.narrowed(part.context(facts)).rules) == 1
        assert len(part._narrowed) <= slices._MOST_NARROWED


def test_who_asks_is_known() -> None:
    text = (
        'permit (principal, action, resource); @effect("ask") forbid (principal, action, resource);'
    )
    grant, ask = read_cedar("x.cedar", text, "agent")
    assert (asks(grant), asks(ask)) == (False, True)
    part, facts = _slice(1, text), _request("/9")
    context = part.context(facts)
    assert not part.ask(facts, context).allowed
    assert part.ask_approved(facts, context).allowed
    assert [rule.id for rule in part.ask_grants(facts, context).decided] == [grant.id]
