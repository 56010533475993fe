"""``stockade policy learn`` on the journal of the demo, whose steps run as they are."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from examples.fix_a_bug import STEPS, Run, Step, learn, make_project, work
from tests.functional.conftest import Stockade

from stockade.audit.journal import read_decisions
from stockade.cli.profiles import read
from stockade.model.action import Action
from stockade.model.errors import ProfileError
from stockade.model.profile import Profile
from stockade.policy.document import parse_profile
from stockade.policy.engine import compile_profile

pytestmark = pytest.mark.machine


def _work(profile: Path, stockade: Stockade) -> tuple[Run, list[str]]:
    told: list[str] = []

    def tell(step: Step, said: str) -> None:
        told.append(f"{step.tool}: {said}")

    return anyio.run(work, profile, stockade.environment, tell), told


def _verdicts(journal: Path) -> list[tuple[Action, str]]:
    return [(event.action, event.verdict.effect.value) for event in read_decisions(journal)]


def _change(patch: str) -> str:
    """A patch without its date and the names of commits."""
    return patch[patch.index("diff --git") :].partition("\n-- \n")[0]


def test_a_learned_profile_is_enough_and_each_line_of_it_is_needed(
    stockade: Stockade, tmp_path: Path
) -> None:
    wide = make_project(tmp_path)
    run, told = _work(wide, stockade)
    assert len(told) == len(STEPS)
    learned = learn(run, wide, stockade.environment)

    # The run passes again, for real, and what was denied is denied.
    again, _ = _work(learned, stockade)
    assert _verdicts(again.journal) == _verdicts(run.journal)
    assert _change(again.patch) == _change(run.patch)

    recorded = [action for action, effect in _verdicts(run.journal) if effect == "allow"]
    assert len(recorded) == len(STEPS) - 1
    _each_grant_is_needed(read(learned).profile, recorded)
    _each_line_is_needed(learned.read_text(), recorded)


def _each_grant_is_needed(profile: Profile, recorded: list[Action]) -> None:
    assert set(profile.tools) == {step.tool for step in STEPS}
    for name in profile.tools:
        rest = {other: grant for other, grant in profile.tools.items() if other != name}
        less = compile_profile(profile.model_copy(update={"tools": rest}))
        assert not all(less.decide(action).allowed for action in recorded), name


def _each_line_is_needed(text: str, recorded: list[Action]) -> None:
    lines = text.splitlines()
    start, taken_out = lines.index("tools:"), 0
    for number in range(start, len(lines)):
        rest = "\n".join([*lines[:number], *lines[number + 1 :]]) + "\n"
        try:
            less = parse_profile(rest, source="learned.yaml", base=Path("/"))
        except ProfileError:
            continue  # without this line it is no profile, and nothing runs
        policy = compile_profile(less)
        assert not all(policy.decide(action).allowed for action in recorded), lines[number]
        taken_out += 1
    assert taken_out == len({step.tool for step in STEPS})
