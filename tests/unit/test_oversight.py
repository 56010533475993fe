"""The gate of a session that is made while its machine starts, and its door."""

from __future__ import annotations

import anyio
import dns.message
import pytest
from tests.unit.egress.conftest import Pipe
from tests.unit.egress.test_door import packed

from stockade.audit.journal import read_decisions
from stockade.model.action import Execution, Lookup
from stockade.model.errors import ProfileError
from stockade.model.profile import Profile
from stockade.model.verdict import Verdict
from stockade.oversight import Oversight, journal_of

pytestmark = pytest.mark.anyio

RUN = Execution(argv=("true",))
NETWORK = Profile.model_validate({"network": [{"host": "a.example"}]})
FORBID = {"no.cedar": 'forbid (principal, action == Action::"run", resource);'}


@pytest.fixture(autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(tmp_path_factory.mktemp("state")))


async def test_what_is_asked_before_the_gate_is_there_waits_for_it() -> None:
    verdicts: list[Verdict] = []
    with Oversight("s1", Profile()) as oversight:

        async def ask() -> None:
            verdicts.append(await oversight.submit(RUN))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert verdicts == []
            await oversight.open()
    assert [verdict.allowed for verdict in verdicts] == [True]
    (event,) = read_decisions(journal_of("s1"))
    assert (event.session, event.action, event.verdict) == ("s1", RUN, verdicts[0])


@pytest.mark.parametrize("enforce", [True, False])
async def test_cedar_files_hold_and_an_audit_only_records(enforce: bool) -> None:
    with Oversight("s1", Profile(), cedar=FORBID, enforce=enforce) as oversight:
        await oversight.open()
        assert (await oversight.submit(RUN)).allowed is not enforce
    (event,) = read_decisions(journal_of("s1"))
    assert (event.verdict.allowed, event.enforced) == (False, enforce)


async def test_a_policy_that_cannot_be_made_is_an_error() -> None:
    with (
        Oversight("s1", Profile(), cedar={"bad.cedar": "permit"}) as oversight,
        pytest.raises(ProfileError, match=r"bad\.cedar"),
    ):
        await oversight.open()


async def test_a_cedar_file_that_was_not_given_is_an_error() -> None:
    profile = Profile.model_validate({"policies": ["/x/no.cedar"]})
    with (
        Oversight("s1", profile) as oversight,
        pytest.raises(ProfileError, match=r"no\.cedar' was not read"),
    ):
        await oversight.open()


@pytest.mark.parametrize(("name", "answers"), [("a.example", 1), ("evil.example", 0)])
async def test_the_machines_network_goes_through_the_same_gate(name: str, answers: int) -> None:
    pipe = Pipe()
    pipe.say(dns.message.make_query(name, "A").to_wire())
    pipe.finish()
    with Oversight("s1", NETWORK) as oversight:
        await oversight.open()
        await oversight.serve(pipe, packed("question", "198.18.0.1", 53))
    assert len(dns.message.from_wire(bytes(pipe.heard)).answer) == answers
    (event,) = read_decisions(journal_of("s1"))
    assert event.action == Lookup(host=name)
