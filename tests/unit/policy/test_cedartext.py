from __future__ import annotations

from cedarpy import PolicySet, pst
from hypothesis import example, given
from hypothesis import strategies as st

from stockade.policy import cedartext

_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)


def _policy(text: str) -> pst.Template:
    return PolicySet.from_str(text).to_pst().static_policies["policy0"]


@given(_TEXT)
@example('"); permit (principal, action, resource); //')
@example("\\")
@example("\u202e\0\n")
def test_any_text_is_a_literal_of_itself(text: str) -> None:
    policy = _policy(
        cedartext.rule(
            "permit",
            text,
            agent=text,
            action=text,
            resource=cedartext.entity("Host", text),
            when=[f"context.x == {cedartext.literal(text)}"],
        )
    )
    assert policy.annotations["id"] == text
    assert {uid.id for uid in pst.entity_uids(policy)} == {text}
    clause = policy.clauses[0]
    assert isinstance(clause.expr, pst.BinaryOp)
    assert clause.expr.right == pst.StringLit(text)


@given(_TEXT)
def test_a_pattern_has_no_wildcard_but_the_star(text: str) -> None:
    policy = _policy(
        cedartext.rule(
            "forbid",
            "x",
            agent="a",
            action="http",
            when=[f"context.x like {cedartext.pattern(text)}"],
            ask=True,
        )
    )
    assert policy.effect == "forbid"
    assert policy.annotations["effect"] == "ask"
    like = policy.clauses[0].expr
    assert isinstance(like, pst.Like)
    shown = "".join("*" if isinstance(e, pst.Wildcard) else e.value for e in like.pattern)
    assert shown == text


def test_a_set_of_texts_is_written_in_order() -> None:
    assert cedartext.texts(["b", 'a"']) == '["b", "a\\""]'
