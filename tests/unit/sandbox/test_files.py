"""File calls against played answers; what the agent really does is in tests/unit/guest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.model.errors import MachineError, RequestError
from stockade.model.limits import Limits
from stockade.sandbox.files import Files, FileStatus, _parse
from stockade.sandbox.process import Process
from stockade.wire import events

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.unit.sandbox.conftest import Link

pytestmark = pytest.mark.anyio

_ENTRY = {"name": "f", "kind": "file", "size": 5, "mode": 0o644, "modified": 1.5, "uid": 1000}
_EXITED = {
    "event": "exited",
    "signal": None,
    "limit": None,
    "usage": {"cpu_user": 0, "cpu_system": 0, "memory_peak": 0},
    "scratch_free": 1,
}


class _Agent:
    """Answers one file request with given bytes, and keeps the request."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.request: dict[str, Any] = {}
        self.files = Files(lambda: Process(link.channel, Limits()))

    async def serve(self, stdout: bytes, stderr: bytes, code: int, limit: str | None) -> None:
        peer = self.link.peer
        call, self.request = await peer.request()
        await peer.answer(call, {"event": "started"})
        for name, data in (("stdout", stdout), ("stderr", stderr)):
            await peer.say(self.request[name], data, last=True)
        await peer.answer(call, {**_EXITED, "code": code, "limit": limit})

    async def reply(
        self,
        use: Awaitable[Any],
        stdout: bytes = b"",
        *,
        stderr: bytes = b"",
        code: int = 0,
        limit: str | None = None,
    ) -> Any:
        """Give what ``use`` returns or raises when that is the answer."""
        result: Any = None
        error: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.serve, stdout, stderr, code, limit)
            try:
                result = await use
            except (MachineError, RequestError) as caught:
                error = caught
            tasks.cancel_scope.cancel()
        if error:
            raise error
        return result


@pytest.fixture
def agent(link: Link) -> _Agent:
    return _Agent(link)


def _lines(*entries: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


async def test_reading_gives_the_bytes(agent: _Agent) -> None:
    assert await agent.reply(agent.files.read("/tmp/\udcff"), b"\0\xff") == b"\0\xff"
    assert (agent.request["op"], agent.request["action"]) == ("file", "read")
    assert agent.request["path"] == "/tmp/\udcff"


async def test_reading_more_than_the_limit_is_an_error_and_ends_it(agent: _Agent) -> None:
    assert await agent.reply(agent.files.read("/f", limit=4), b"1234") == b"1234"
    with pytest.raises(RequestError, match="/f: larger than 4 bytes") as error:
        await agent.reply(agent.files.read("/f", limit=4), b"12345")
    assert error.value.kind == "EFBIG"
    assert agent.link.channel._streams == {}


@pytest.mark.parametrize("content", ["text \N{SNOWMAN}", b"\0\xff", b""])
async def test_writing_sends_the_content(agent: _Agent, content: str | bytes) -> None:
    sent = bytearray()

    async def take() -> None:
        peer = agent.link.peer
        call, request = await peer.request()
        assert (request["action"], request["path"], request["mode"]) == ("write", "/f", 0o600)
        await peer.answer(call, {"event": "started"})
        while not isinstance(event := await peer.event(), events.StreamEnded) or (
            event.stream != request["stdin"]
        ):
            if isinstance(event, events.DataReceived) and event.stream == request["stdin"]:
                sent.extend(event.data)
        for name in ("stdout", "stderr"):
            await peer.say(request[name], b"", last=True)
        await peer.answer(call, {**_EXITED, "code": 0})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await agent.files.write("/f", content, mode=0o600)
    assert sent == (content.encode() if isinstance(content, str) else content)


async def test_listings_are_parsed(agent: _Agent) -> None:
    link = {**_ENTRY, "name": "new\nline\udcff", "kind": "symlink", "target": "f"}
    listed = await agent.reply(agent.files.list("/"), _lines(_ENTRY, link))
    assert listed == [
        FileStatus("f", "file", 5, 0o644, 1.5, 1000),
        FileStatus("new\nline\udcff", "symlink", 5, 0o644, 1.5, 1000, "f"),
    ]
    assert await agent.reply(agent.files.list("/"), b"") == []
    assert (await agent.reply(agent.files.status("/f"), _lines(_ENTRY))).size == 5


async def test_folders_are_made_and_things_removed(agent: _Agent) -> None:
    await agent.reply(agent.files.make_folder("/a/b", mode=0o700))
    assert (agent.request["action"], agent.request["mode"]) == ("make-folder", 0o700)
    await agent.reply(agent.files.remove("/a/b"))
    assert (agent.request["action"], agent.request["path"]) == ("remove", "/a/b")


async def test_a_failure_has_the_path_and_the_systems_name(agent: _Agent) -> None:
    said = json.dumps({"kind": "ENOENT", "message": "No such file or directory"}).encode()
    with pytest.raises(RequestError, match=r"^/f: No such file or directory$") as error:
        await agent.reply(agent.files.read("/f"), stderr=said, code=1)
    assert error.value.kind == "ENOENT"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"Traceback\n  \x1b[2J",
        b"[]",
        b"7",
        b'{"kind": "ENOENT"}',
        b'{"kind": null, "message": {"\\n": "\\u202e"}}',
        b'{"kind": "' + b"K" * 9000 + b'", "message": ""}',
        b"[" * 8000,
        b"\xff" * 100,
        b'{"kind": "\\u0007", "message": "' + b"m" * 5000 + b'"}',
    ],
)
async def test_whatever_a_failure_says_is_one_printable_line(agent: _Agent, said: bytes) -> None:
    with pytest.raises(RequestError) as error:
        await agent.reply(agent.files.read("/a\nb"), stderr=said, code=1)
    assert str(error.value).isprintable()
    assert error.value.kind.isprintable()
    assert len(str(error.value)) < 600


async def test_a_limit_that_ended_the_operation_is_its_reason(agent: _Agent) -> None:
    with pytest.raises(RequestError, match="/f: memory limit of 512MiB reached"):
        await agent.reply(agent.files.read("/f"), code=137, limit="memory")


_LIES: list[bytes] = [
    b"not json\n",
    b"[]\n",
    b"7\n",
    b"null\n",
    b"{}\n",
    b"[" * 50_000,
    b"\xff\xfe\n",
    b"\n",
    _lines({**_ENTRY, "extra": 1}),
    _lines({**_ENTRY, "\x1b[2J" + "k" * 5000: 1}),
    _lines({**_ENTRY, "size": True}),
    _lines({**_ENTRY, "name": 7}),
    _lines({**_ENTRY, "name": None}),
    _lines({**_ENTRY, "size": "5"}),
    _lines({**_ENTRY, "size": 5.5}),
    _lines({**_ENTRY, "modified": "now"}),
    _lines({**_ENTRY, "modified": []}),
    _lines({**_ENTRY, "target": ["f"]}),
    _lines({**_ENTRY, "kind": {"\x1b[2J": "\n"}}),
    _lines({key: value for key, value in _ENTRY.items() if key != "uid"}),
    _lines(_ENTRY) + b'{"name":',
    b'{"size": ' + b"9" * 5000 + b"}\n",
]


@pytest.mark.parametrize("listing", _LIES)
async def test_a_listing_that_cannot_be_breaks_the_protocol(agent: _Agent, listing: bytes) -> None:
    with pytest.raises(MachineError, match="broke the protocol: ") as error:
        await agent.reply(agent.files.list("/"), listing)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("lines", [b"", _lines(_ENTRY, _ENTRY)])
async def test_the_status_of_one_file_is_one_line(agent: _Agent, lines: bytes) -> None:
    with pytest.raises(MachineError, match="broke the protocol"):
        await agent.reply(agent.files.status("/f"), lines)


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(
    listing=st.binary(max_size=200)
    | st.lists(
        st.fixed_dictionaries({}, optional=dict.fromkeys([*_ENTRY, "target"], _VALUES)), max_size=3
    ).map(lambda entries: _lines(*({**_ENTRY, **entry} for entry in entries)))
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_listing_is_entries_or_one_machine_error(listing: bytes) -> None:
    try:
        entries = _parse(listing)
    except MachineError as error:
        text = str(error)
    else:
        text = ""
        for entry in entries:
            assert isinstance(entry.name, str)
            assert isinstance(entry.target, str)
            assert type(entry.size) is type(entry.mode) is type(entry.uid) is int
    assert text.isprintable()


async def test_where_a_path_leads_is_told(agent: _Agent) -> None:
    assert await agent.reply(agent.files.resolve("/l"), b'{"path": "/to/f"}\n') == "/to/f"
    assert (agent.request["action"], agent.request["path"]) == ("resolve", "/l")


@pytest.mark.parametrize(
    "said",
    [b"", b"{}", b'{"path": "relative"}', b'{"path": 7}', b"[]", b"x", b'{"path": "/a"}\n' * 2],
)
async def test_a_machine_that_says_no_path_breaks_the_protocol(agent: _Agent, said: bytes) -> None:
    with pytest.raises(MachineError, match="broke the protocol"):
        await agent.reply(agent.files.resolve("/l"), said)


async def test_exact_operations_are_asked_for_by_their_names(agent: _Agent) -> None:
    assert await agent.reply(agent.files.read_exact("/f", limit=4), b"1234") == b"1234"
    assert agent.request["action"] == "read-exact"
    await agent.reply(agent.files.write_exact("/f", b""))
    assert (agent.request["action"], agent.request["mode"]) == ("write-exact", 0o644)
    assert await agent.reply(agent.files.list_exact("/"), b"") == []
    assert agent.request["action"] == "list-exact"


async def test_a_search_gives_its_lines_as_they_are(agent: _Agent) -> None:
    lines: list[dict[str, Any]] = []
    search = agent.files.search("/d", {"expression": "x"}, lines.append)
    await agent.reply(search, b'{"path": "/d/f"}\n{"files": 1}\n')
    assert lines == [{"path": "/d/f"}, {"files": 1}]
    assert (agent.request["action"], agent.request["path"]) == ("search", "/d")


@pytest.mark.parametrize("said", [b"x\n", b"[]\n", b"[" * 9000 + b"\n"])
async def test_a_search_that_answers_nonsense_breaks_the_protocol(
    agent: _Agent, said: bytes
) -> None:
    with pytest.raises(MachineError, match="broke the protocol"):
        await agent.reply(agent.files.search("/d", {}, lambda _: None), said)


async def test_a_search_that_says_too_much_is_ended(agent: _Agent) -> None:
    search = agent.files.search("/d", {}, lambda _: None, limit=10)
    with pytest.raises(RequestError, match="an answer larger than 10 bytes"):
        await agent.reply(search, b'{"x": 123456789}\n')
