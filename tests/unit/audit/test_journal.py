from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.audit.journal import MAX_LINE, Journal, read_decisions, read_journal
from stockade.model.action import ToolCall
from stockade.model.errors import StockadeError
from stockade.model.event import Decision, Spending
from stockade.model.usage import Usage
from stockade.model.verdict import Effect, Verdict

pytestmark = pytest.mark.anyio


def event(number: int = 0, **arguments: object) -> Decision:
    return Decision(
        session="s1",
        time=float(number),
        action=ToolCall.model_validate({"tool": "read_file", "arguments": arguments}),
        verdict=Verdict(effect=Effect.ALLOW, rule="tools.read_file", reason="it is granted"),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journals" / "s1.jsonl"


async def test_events_come_back_in_order(path: Path) -> None:
    events = [event(0), event(1, path="/wörk\n"), event(2)]
    with Journal(path) as journal:
        for each in events:
            await journal.record(each)
    assert list(read_journal(path)) == events


async def test_events_of_many_tasks_are_whole(path: Path) -> None:
    with Journal(path) as journal:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(journal.record, event(number))
    assert sorted(each.time for each in read_journal(path)) == list(range(20))


def test_it_is_its_owners_alone(path: Path) -> None:
    with Journal(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_never_goes_on_from_another(path: Path) -> None:
    with Journal(path), pytest.raises(FileExistsError):
        Journal(path)


async def test_an_event_is_there_once_it_is_recorded(path: Path) -> None:
    with Journal(path) as journal:
        await journal.record(event())
        assert list(read_journal(path)) == [event()]


async def test_decisions_are_told_from_the_rest(path: Path) -> None:
    usage = Usage(provider="openai", model="gpt-4o")
    with Journal(path) as journal:
        await journal.record(event(0))
        await journal.record(Spending(session="s1", time=1.0, usage=usage))
        await journal.record(event(2))
    assert list(read_decisions(path)) == [event(0), event(2)]


async def test_an_event_larger_than_can_be_read_is_refused(path: Path) -> None:
    with Journal(path) as journal:
        with pytest.raises(ValueError, match="too large"):
            await journal.record(event(1, text="x" * MAX_LINE))
        await journal.record(event(2))
    assert list(read_journal(path)) == [event(2)]


async def test_after_a_failure_nothing_more_is_taken(path: Path) -> None:
    with Journal(path) as journal:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, journal._fd)
        os.close(full)
        for _ in range(2):
            with pytest.raises(OSError, match=r"No space|earlier event"):
                await journal.record(event())


def test_what_a_crash_left_of_an_event_is_none(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    whole = b"".join(event(number).model_dump_json().encode() + b"\n" for number in (1, 2))
    for cut in (1, 10, len(whole) // 2 - 1):
        path.write_bytes(whole[:-cut])
        assert list(read_journal(path)) == [event(1)]


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"null\n", b"\xff\n", b"x" * (MAX_LINE + 1)])
def test_what_is_no_event_is_named_by_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(event().model_dump_json().encode() + b"\n" + line)
    with pytest.raises(StockadeError, match=r"journal:2: "):
        list(read_journal(path))


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StockadeError, match=r"cannot read journal .*: No such file"):
        list(read_journal(tmp_path / "none"))


@given(st.binary(max_size=200))
def test_any_bytes_are_events_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    with contextlib.suppress(StockadeError):
        assert list(read_journal(path)) == []
