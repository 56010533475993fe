from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.errors import MachineError, RequestError
from stockade.sandbox import calls
from stockade.sandbox.calls import Call, call, printable
from stockade.wire import events
from stockade.wire.messages import encode_message

if TYPE_CHECKING:
    from tests.unit.sandbox.conftest import Link

pytestmark = pytest.mark.anyio


async def test_a_request_is_answered(link: Link) -> None:
    async with anyio.create_task_group() as tasks:

        async def agent() -> None:
            asked, request = await link.peer.request()
            assert request == {"op": "stats", "more": [1, "\udcff"]}
            await link.peer.answer(asked, {"event": "done", "memory": 7})

        tasks.start_soon(agent)
        assert await call(link.channel, op="stats", more=[1, "\udcff"]) == {
            "event": "done",
            "memory": 7,
        }


async def test_words_follow_a_request_and_answers_come_in_order(link: Link) -> None:
    asked = Call(link.channel)
    await asked.say({"op": "exec"})
    await asked.say({"op": "signal", "signal": "TERM"})
    stream, first = await link.peer.request()
    assert (first["op"], (await link.peer.request())[1]["op"]) == ("exec", "signal")
    for event in ("started", "exited"):
        await link.peer.answer(stream, {"event": event})
    assert [(await asked.answer())["event"] for _ in range(2)] == ["started", "exited"]


async def test_two_answers_in_one_piece_are_two(link: Link) -> None:
    asked = Call(link.channel)
    await asked.say({"op": "exec"})
    stream, _ = await link.peer.request()
    both = encode_message({"event": "started"}) + encode_message({"event": "exited"})
    await link.peer.say(stream, both[:5])
    await link.peer.say(stream, both[5:])
    assert [(await asked.answer())["event"] for _ in range(2)] == ["started", "exited"]


async def test_a_refusal_is_an_error_with_its_kind(link: Link) -> None:
    asked = Call(link.channel)
    await asked.say({"op": "exec"})
    stream, _ = await link.peer.request()
    await link.peer.answer(stream, {"event": "failed", "kind": "ENOSPC", "message": "disk full"})
    with pytest.raises(RequestError, match="the machine refused: disk full") as error:
        await asked.answer()
    assert error.value.kind == "ENOSPC"


@pytest.mark.parametrize(
    "failure",
    [
        {},
        {"kind": None, "message": None},
        {"kind": ["\x1b[2J"], "message": {"\n": "\u202e"}},
        {"kind": "\x07" * 1000, "message": "\ud800" + "x" * 10_000},
    ],
)
async def test_whatever_a_refusal_holds_is_one_printable_line(
    link: Link, failure: dict[str, object]
) -> None:
    asked = Call(link.channel)
    await asked.say({"op": "exec"})
    stream, _ = await link.peer.request()
    await link.peer.answer(stream, {"event": "failed", **failure})
    with pytest.raises(RequestError) as error:
        await asked.answer()
    for text in (str(error.value), error.value.kind):
        assert text.isprintable()
        assert len(text) < 600


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xff\xff\xff",
        (64 * 1024 + 1).to_bytes(4, "big"),
        b"\0\0\0\2[]",
        b"\0\0\0\1{",
        b"\0\0\0\5{'a'}",
        b"\0\0\0\x10" + b'{"event":\xff\xfe\xfd}   ',
        b"\0\0\0\x11" + b'{"a": NaN, "b":1}',
        b"\0\0\x20\0" + b'{"a":' * 1638 + b"xx",
        b"\0\0\0\x0d" + b'{"a":1,"a":2}',
    ],
)
async def test_an_answer_that_is_no_message_breaks_the_protocol(link: Link, raw: bytes) -> None:
    asked = Call(link.channel)
    await asked.say({"op": "ping"})
    stream, _ = await link.peer.request()
    await link.peer.say(stream, raw)
    with pytest.raises(MachineError, match="the machine broke the protocol: message") as error:
        await asked.answer()
    assert str(error.value).isprintable()


@pytest.mark.parametrize("said", [b"", b"\0\0", b"\0\0\0\5{", json.dumps({}).encode()[:1]])
async def test_a_stream_that_ends_in_the_middle_of_an_answer_is_told(
    link: Link, said: bytes
) -> None:
    asked = Call(link.channel)
    await asked.say({"op": "ping"})
    stream, _ = await link.peer.request()
    await link.peer.say(stream, said, last=True)
    with pytest.raises(MachineError, match="left a request without an answer"):
        await asked.answer()


async def test_words_to_a_call_that_is_over_are_lost(link: Link) -> None:
    asked = Call(link.channel)
    await asked.say({"op": "exec"})
    stream, _ = await link.peer.request()
    link.peer.connection.reset(stream, "over")
    await link.peer.flush()
    with pytest.raises(MachineError, match="over"):
        await asked.answer()
    await asked.say({"op": "signal", "signal": "TERM"})
    asked.end()


async def test_a_machine_that_never_answers_is_given_up_and_told_so(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_PATIENCE", 0.05)
    with pytest.raises(MachineError, match=r"the machine did not answer within 0.05 s"):
        await call(link.channel, op="ping")
    while True:
        event = await link.peer.event()
        if isinstance(event, events.StreamReset):
            break
    assert event.reason == "no longer wanted"


async def test_a_cancelled_request_is_dropped(link: Link) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def agent() -> None:
                await link.peer.request()
                scope.cancel()

            tasks.start_soon(agent)
            await call(link.channel, op="ping")
    assert scope.cancelled_caught
    while not isinstance(await link.peer.event(), events.StreamReset):
        pass
    assert link.channel._streams == {}


async def test_a_machine_that_ends_ends_the_request(link: Link) -> None:
    async with anyio.create_task_group() as tasks:

        async def agent() -> None:
            await link.peer.request()
            link.peer.socket.close()

        tasks.start_soon(agent)
        with pytest.raises(MachineError, match="the machine has ended"):
            await call(link.channel, op="ping")


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_text_from_inside_is_made_printable(text: str) -> None:
    shown = printable(text, 20)
    assert shown.isprintable()
    assert len(shown) == min(len(text), 20)
    assert all(kept == char for kept, char in zip(shown, text, strict=False) if char.isprintable())
