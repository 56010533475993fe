"""The one decision path: every door submits its actions here and obeys the verdict.

An action passes screening, policy, limits and approval, and is recorded with the verdict before
anyone hears of it. A stage that is not there lets an action pass; the policy is always there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import anyio

from stockade.model.event import Decision, Event
from stockade.model.verdict import Effect, Stage, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stockade.model.action import Action

PATIENCE = 10.0
"""Seconds that a check or the record may take."""


class Policy(Protocol):
    """The profile's word on an action: total and without side effects."""

    def decide(self, action: Action) -> Verdict:
        """Allow, deny or ask."""
        ...


class Check(Protocol):
    """A stage before or after the policy: screening or limits."""

    async def check(self, action: Action) -> Verdict | None:
        """A verdict that ends the matter, or None to let the action go on."""
        ...


class Approver(Protocol):
    """Where a verdict of ``ask`` is answered by a person."""

    async def ask(self, action: Action, verdict: Verdict) -> Verdict:
        """Wait for the answer, as long as it may take; allow or deny."""
        ...


class Recorder(Protocol):
    """Where events go."""

    async def record(self, event: Event) -> None:
        """Return once ``event`` is durable."""
        ...


class Gate:
    """Decides on every action of one session.

    With ``enforce`` off, what would be denied is recorded as such and goes ahead; what cannot be
    recorded never does.
    """

    def __init__(
        self,
        session: str,
        policy: Policy,
        recorder: Recorder,
        *,
        screening: Sequence[Check] = (),
        limits: Sequence[Check] = (),
        approver: Approver | None = None,
        enforce: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._policy = policy
        self._recorder = recorder
        self._screening, self._limits = screening, limits
        self._approver = approver
        self._enforce = enforce
        self._clock = clock

    async def submit(self, action: Action) -> Verdict:
        """Decide on ``action`` and record it; whatever fails on the way is a denial."""
        verdict = await self._decide(action)
        enforced = self._enforce or verdict.allowed
        event = Decision(
            session=self._session,
            time=self._clock(),
            action=action,
            verdict=verdict,
            enforced=enforced,
        )
        try:
            with anyio.fail_after(PATIENCE):
                await self._recorder.record(event)
        except Exception as error:  # noqa: BLE001 - nothing may go ahead unrecorded
            return _failed(Stage.RECORD, error)
        if enforced:
            return verdict
        return verdict.model_copy(update={"effect": Effect.ALLOW})

    async def _decide(self, action: Action) -> Verdict:
        verdict = await self._first(Stage.SCREENING, self._screening, action)
        if verdict:
            return verdict
        try:
            verdict = self._policy.decide(action)
        except Exception as error:  # noqa: BLE001 - a policy that cannot tell has not allowed
            return _failed(Stage.POLICY, error)
        if verdict.effect is Effect.DENY:
            return verdict
        if spent := await self._first(Stage.LIMITS, self._limits, action):
            return spent
        if verdict.effect is Effect.ASK:
            return await self._ask(action, verdict)
        return verdict

    async def _first(self, stage: Stage, checks: Sequence[Check], action: Action) -> Verdict | None:
        """The first verdict of ``checks`` that is not an approval."""
        for check in checks:
            try:
                with anyio.fail_after(PATIENCE):
                    verdict = await check.check(action)
            except Exception as error:  # noqa: BLE001 - as above
                return _failed(stage, error)
            if verdict and not verdict.allowed:
                return verdict
        return None

    async def _ask(self, action: Action, verdict: Verdict) -> Verdict:
        if self._approver is None:
            return verdict.model_copy(
                update={
                    "effect": Effect.DENY,
                    "stage": Stage.APPROVAL,
                    "reason": f"{verdict.reason}, and there is nobody to ask",
                }
            )
        try:
            answer = await self._approver.ask(action, verdict)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(Stage.APPROVAL, error)
        if answer.effect is Effect.ASK:
            return answer.model_copy(update={"effect": Effect.DENY})
        return answer


def _failed(stage: Stage, error: Exception) -> Verdict:
    # The kind of the error alone: its text could hold what the agent or a secret store said.
    slow = isinstance(error, TimeoutError)
    what = "took too long" if slow else f"failed ({type(error).__name__})"
    return Verdict(
        effect=Effect.DENY,
        rule="default",
        reason=f"the gate's {stage.value} {what}, so nothing is allowed",
        hint="Tell whoever runs this session; what was asked for is not the cause.",
        stage=stage,
    )
