"""The gate of a session that is made while its machine starts, and its door."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import dns.message
import pytest
from tests.unit.egress.conftest import Pipe
from tests.unit.egress.test_door import packed

from stockade.audit.journal import read_decisions, read_journal
from stockade.model.action import Execution, Lookup
from stockade.model.errors import CredentialError, ProfileError
from stockade.model.event import Spending
from stockade.model.profile import Profile
from stockade.model.usage import Usage
from stockade.model.verdict import Verdict
from stockade.oversight import Oversight, journal_of

pytestmark = pytest.mark.anyio

RUN = Execution(argv=("true",))
NETWORK = Profile.model_validate({"network": [{"host": "a.example"}]})
FORBID = {"no.cedar": 'forbid (principal, action == Action::"run", resource);'}


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("s")
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(folder / "state"))
    (folder / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    return folder


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


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


@pytest.mark.parametrize(
    "network",
    [
        [],
        [
            {"host": "a.example", "protocol": "tcp", "port": 1},
            {"host": "b.example", "protocol": "ssh"},
        ],
    ],
)
async def test_without_requests_there_is_no_proxy_and_nobody_to_trust(
    network: list[dict[str, object]], state: Path
) -> None:
    profile = Profile.model_validate({"network": network})
    with Oversight("s1", profile) as oversight:
        async with oversight.network() as trust:
            assert trust is None
            assert files(state) == []


async def test_a_secret_that_cannot_be_had_is_an_error_before_anything_starts(state: Path) -> None:
    grant = {"host": "a.example", "credential": "key"}
    profile = Profile.model_validate(
        {"network": [grant], "credentials": {"key": {"from": "env:NOT_SET_ANYWHERE"}}}
    )
    with (
        Oversight("s1", profile) as oversight,
        pytest.raises(CredentialError, match="NOT_SET_ANYWHERE"),
    ):
        async with oversight.network():
            pytest.fail("it has begun")
    assert files(state) == []


@pytest.mark.parametrize(
    ("profile", "enforce"),
    [
        (NETWORK, True),
        (Profile.model_validate({"models": [{"provider": "openai", "models": ["*"]}]}), True),
        (Profile(), False),
    ],
    ids=["a host", "a model", "an audit"],
)
async def test_where_requests_are_served_machines_are_told_whom_to_trust(
    profile: Profile, enforce: bool, state: Path
) -> None:
    with Oversight("s1", profile, enforce=enforce) as oversight:
        async with oversight.network() as trust:
            assert trust is not None
            kept = await anyio.Path(state / "state" / "egress-ca.pem").read_text()
            assert trust.authority == kept
            assert "PRIVATE" not in trust.authority
            assert trust.java_store
    assert files(state / "run") == []


async def test_what_a_model_cost_is_on_record() -> None:
    usage = Usage(provider="openai", model="gpt-4o", input=3, usd=Decimal("0.0125"))
    with Oversight("s1", NETWORK) as oversight:
        await oversight.open()
        await oversight._settle(usage)
    [event] = read_journal(journal_of("s1"))
    assert isinstance(event, Spending)
    assert (event.session, event.usage) == ("s1", usage)
