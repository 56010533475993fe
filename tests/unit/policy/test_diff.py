from __future__ import annotations

from stockade.model.network import NetworkGrant
from stockade.model.profile import Profile
from stockade.policy.actiontext import parse_action
from stockade.policy.diff import diff
from stockade.policy.engine import compile_profile

_GET, _POST = (parse_action(f"http:{method} https://a.org/") for method in ("GET", "POST"))


def _policy(*methods: str):  # type: ignore[no-untyped-def]
    grants = (NetworkGrant(host="a.org", methods=methods),) if methods else ()
    return compile_profile(Profile(network=grants))


def test_only_what_changes_is_given_and_once() -> None:
    changes = list(diff(_policy("GET"), _policy("GET", "POST"), [_GET, _POST, _POST]))
    assert [(change.action, change.wider) for change in changes] == [(_POST, True)]
    [change] = diff(_policy("GET"), _policy(), [_GET])
    assert not change.wider
    assert (change.before.effect.value, change.after.effect.value) == ("allow", "deny")
