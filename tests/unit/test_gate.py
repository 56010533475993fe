"""The one decision path: what passes, what stops it, and that nothing goes ahead unrecorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import anyio
import pytest

from stockade import gate as gate_module
from stockade.gate import Approver, Check, Gate
from stockade.model.action import Action, Execution
from stockade.model.event import Decision, Event
from stockade.model.verdict import Effect, Stage, Verdict

pytestmark = pytest.mark.anyio

ACTION = Execution(argv=("true",))


def verdict(effect: Effect, rule: str = "rule", stage: Stage = Stage.POLICY) -> Verdict:
    return Verdict(effect=effect, rule=rule, reason=f"it is {effect.value}", stage=stage)


ALLOW, ASK, DENY = verdict(Effect.ALLOW), verdict(Effect.ASK), verdict(Effect.DENY)


@dataclass
class Says:
    """Every stage at once, with one answer; keeps what it was asked or told."""

    answer: Verdict | Exception | None = None
    seen: list[object] = field(default_factory=list)

    def _say(self, what: object) -> Verdict | None:
        self.seen.append(what)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def decide(self, action: Action) -> Verdict:
        said = self._say(action)
        assert said is not None
        return said

    async def check(self, action: Action) -> Verdict | None:
        return self._say(action)

    async def ask(self, action: Action, verdict: Verdict) -> Verdict:
        return self.decide(action)

    async def record(self, event: Event) -> None:
        self._say(event)


def build(
    policy: Says,
    recorder: Says,
    *,
    screening: tuple[Check, ...] = (),
    limits: tuple[Check, ...] = (),
    approver: Approver | None = None,
    enforce: bool = True,
) -> Gate:
    return Gate(
        "s1",
        policy,
        recorder,
        screening=screening,
        limits=limits,
        approver=approver,
        enforce=enforce,
        clock=lambda: 7.0,
    )


@pytest.mark.parametrize("said", [ALLOW, DENY])
async def test_the_policys_word_is_given_and_recorded(said: Verdict) -> None:
    record = Says()
    assert await build(Says(said), record).submit(ACTION) == said
    assert record.seen == [Decision(session="s1", time=7.0, action=ACTION, verdict=said)]


async def test_a_policy_that_fails_denies() -> None:
    record = Says()
    given = await build(Says(ZeroDivisionError("secret")), record).submit(ACTION)
    assert (given.effect, given.stage) == (Effect.DENY, Stage.POLICY)
    assert "secret" not in given.model_dump_json()
    assert len(record.seen) == 1


@pytest.mark.parametrize("said", [ALLOW, DENY])
@pytest.mark.parametrize("enforce", [True, False])
async def test_what_cannot_be_recorded_is_denied(said: Verdict, enforce: bool) -> None:
    given = await build(Says(said), Says(OSError("full")), enforce=enforce).submit(ACTION)
    assert (given.effect, given.stage) == (Effect.DENY, Stage.RECORD)


async def test_a_record_that_takes_too_long_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "PATIENCE", 0.0)

    class Stuck(Says):
        async def record(self, event: Event) -> None:
            await anyio.sleep(math.inf)

    given = await build(Says(ALLOW), Stuck()).submit(ACTION)
    assert (given.effect, given.stage) == (Effect.DENY, Stage.RECORD)
    assert "too long" in given.reason


async def test_screening_comes_first_and_ends_the_matter() -> None:
    policy, said = Says(ALLOW), verdict(Effect.DENY, stage=Stage.SCREENING)
    assert await build(policy, Says(), screening=(Says(), Says(said))).submit(ACTION) == said
    assert policy.seen == []


async def test_limits_are_not_spent_on_what_is_denied() -> None:
    limits = Says()
    await build(Says(DENY), Says(), limits=(limits,)).submit(ACTION)
    assert limits.seen == []


@pytest.mark.parametrize("effect", [Effect.DENY, Effect.ASK])
async def test_limits_can_stop_what_the_policy_allows(effect: Effect) -> None:
    said = verdict(effect, "budget", Stage.LIMITS)
    assert await build(Says(ALLOW), Says(), limits=(Says(said),)).submit(ACTION) == said


@pytest.mark.parametrize("stage", [Stage.SCREENING, Stage.LIMITS])
async def test_a_stage_that_fails_denies(stage: Stage) -> None:
    broken = {stage.value: (Says(ValueError("secret")),)}
    given = await build(Says(ALLOW), Says(), **broken).submit(ACTION)  # type: ignore[arg-type]
    assert (given.effect, given.stage) == (Effect.DENY, stage)
    assert "secret" not in given.model_dump_json()


async def test_with_nobody_to_ask_the_answer_is_no() -> None:
    given = await build(Says(ASK), Says()).submit(ACTION)
    assert (given.effect, given.stage) == (Effect.DENY, Stage.APPROVAL)
    assert given.rule == ASK.rule


@pytest.mark.parametrize(
    ("answer", "effect"),
    [
        (ALLOW, Effect.ALLOW),
        (DENY, Effect.DENY),
        (ASK, Effect.DENY),
        (RuntimeError("x"), Effect.DENY),
    ],
)
async def test_a_persons_answer_counts(answer: Verdict | Exception, effect: Effect) -> None:
    person = Says(answer)
    assert (await build(Says(ASK), Says(), approver=person).submit(ACTION)).effect is effect
    assert person.seen == [ACTION]


async def test_nobody_is_asked_about_what_is_allowed() -> None:
    person = Says(DENY)
    assert (await build(Says(ALLOW), Says(), approver=person).submit(ACTION)).allowed
    assert person.seen == []


@pytest.mark.parametrize("said", [DENY, ASK])
async def test_an_audit_lets_go_ahead_and_says_what_would_not_have(said: Verdict) -> None:
    record = Says()
    given = await build(Says(said), record, enforce=False).submit(ACTION)
    assert given.allowed
    (event,) = record.seen
    assert isinstance(event, Decision)
    assert (event.verdict.effect, event.enforced) == (Effect.DENY, False)
