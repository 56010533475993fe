from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.guest.conftest import PlayedGroup

from stockade.guest import agent as module
from stockade.guest import machine, rootfs
from stockade.guest.agent import Agent
from stockade.wire.errors import ProtocolError
from stockade.wire.messages import MessageReader, encode_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.guest.conftest import Host

    from stockade.guest.loop import Loop

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

_MIB = 1 << 20
_CONFIGURE = {"op": "configure", "memory": 64 * _MIB, "uid": 65534, "gid": 65534}


class _Desk:
    """The host's side of a running agent."""

    def __init__(self, loop: Loop, host: Host) -> None:
        self.host = host
        self.agent = Agent(loop, host.port)
        self._heard: dict[int, list[dict[str, object]]] = {}
        self._readers: dict[int, MessageReader] = {}

    def ask(self, **request: object) -> int:
        """Send a request and return the stream that its answers come on."""
        call = self.host.open(b"call")
        self._heard[call], self._readers[call] = [], MessageReader(1 << 16)
        self.say(call, request)
        return call

    def say(self, call: int, message: dict[str, object]) -> None:
        self.host.say(call, encode_message(message))

    def answers(self, call: int, events: str) -> list[dict[str, Any]]:
        """Wait for the last of ``events`` and return the answers, which must be just these."""
        wanted = events.split()

        def heard() -> bool:
            raw = self.host.received[call]
            self._heard[call] += self._readers[call].feed(bytes(raw))
            raw.clear()
            return len(self._heard[call]) >= len(wanted)

        self.host.serve(heard, f"{events} on call {call}")
        assert [message["event"] for message in self._heard[call]] == wanted
        return self._heard[call]

    def exec(self, script: str, **more: object) -> tuple[int, int]:
        """Start a shell; return its call and the stream of its output."""
        stdin, stdout, stderr = (self.host.open() for _ in range(3))
        request: dict[str, object] = {
            "op": "exec",
            "argv": ["/bin/sh", "-c", script],
            "env": {"PATH": "/usr/bin:/bin"},
            "cwd": "/",
            "stdin": stdin,
            "stdout": stdout,
            "stderr": stderr,
        }
        return self.ask(**{**request, **more}), stdout


@pytest.fixture
def desk(loop: Loop, host: Host) -> _Desk:
    """An agent as it is before the host's first word."""
    return _Desk(loop, host)


@pytest.fixture
def ready(
    desk: _Desk, workload: PlayedGroup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[_Desk]:
    """An agent that has been configured, but for what would set this host's clock and mounts."""
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    monkeypatch.setattr(machine, "configure", lambda _request: (namespace, workload))
    monkeypatch.setattr(module, "Group", PlayedGroup)
    monkeypatch.setattr(rootfs, "SCRATCH", str(tmp_path))
    (answer,) = desk.answers(desk.ask(**_CONFIGURE), "done")
    assert answer["kernel"] == os.uname().release
    yield desk
    os.close(namespace)


def test_a_ping_needs_nothing(desk: _Desk) -> None:
    call = desk.ask(op="ping")
    assert desk.answers(call, "done") == [{"event": "done"}]
    desk.host.serve(lambda: call in desk.host.ended, "the agent to end the stream")


def test_nothing_else_is_done_before_the_machine_is_configured(desk: _Desk) -> None:
    for request in ({"op": "stats"}, {"op": "exec"}, {"op": "file"}, {"op": "no such"}, {}):
        (answer,) = desk.answers(desk.ask(**request), "failed")
        assert answer["kind"] == "not-configured"


def test_an_unknown_operation_is_refused(ready: _Desk) -> None:
    (answer,) = ready.answers(ready.ask(op="reformat"), "failed")
    assert answer == {
        "event": "failed",
        "kind": "unknown",
        "message": "no such operation: reformat",
    }


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "exec"},
        {"op": "exec", "argv": 7, "env": {}, "cwd": "/"},
        {"op": "exec", "argv": ["true"], "env": [], "cwd": "/"},
        {"op": "exec", "argv": ["true"], "env": {"A": 1}, "cwd": "/"},
        {"op": "exec", "argv": ["true"], "env": {}, "cwd": "/"},
        {"op": "file", "action": "read"},
        {"op": "file", "action": "execute", "path": "/"},
    ],
)
def test_a_malformed_request_is_refused_and_leaves_nothing(
    ready: _Desk, workload: PlayedGroup, request_: dict[str, object]
) -> None:
    (answer,) = ready.answers(ready.ask(**request_), "failed")
    assert answer["kind"] == "malformed"
    assert not workload.populated()
    assert [entry.name for entry in os.scandir(workload.path) if entry.is_dir()] == []
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 0


def test_a_failure_of_the_system_is_told(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_disk(_request: object) -> None:
        raise FileNotFoundError(2, "No such device", "files-3")

    monkeypatch.setattr(machine, "configure", no_disk)
    (answer,) = desk.answers(desk.ask(**_CONFIGURE), "failed")
    assert answer["kind"] == "system"
    assert "files-3" in answer["message"]


def test_a_command_is_started_and_its_end_reported(ready: _Desk) -> None:
    call, output = ready.exec("echo hello; exit 3")
    _, end = ready.answers(call, "started exited")
    assert (end["code"], end["signal"], end["limit"]) == (3, None, None)
    assert end["scratch_free"] > 0
    assert ready.host.received[output] == b"hello\n"
    ready.host.serve(lambda: call in ready.host.ended, "the agent to end the stream")
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 0


def test_arguments_and_environment_may_be_any_bytes(ready: _Desk) -> None:
    raw = bytes(range(1, 256))
    call, output = ready.exec(
        'printf %s "$A$1"',
        argv=["/bin/sh", "-c", 'printf %s "$A$1"', "sh", os.fsdecode(raw)],
        env={"A": os.fsdecode(raw)},
    )
    ready.answers(call, "started exited")
    assert ready.host.received[output] == raw * 2


@pytest.mark.parametrize(
    ("argv", "cwd", "code"),
    [
        (["no-such-program"], "/", 127),
        (["/etc/passwd"], "/", 126),
        (["/bin/true"], "/no/such/folder", 126),
        ([], "/", 126),
        (["/bin/true", "a\0b"], "/", 126),
    ],
)
def test_what_cannot_be_started_ends_as_in_a_shell(
    ready: _Desk, argv: list[str], cwd: str, code: int
) -> None:
    stderr = ready.host.open()
    call, _ = ready.exec("", argv=argv, cwd=cwd, stderr=stderr)
    assert ready.answers(call, "started exited")[1]["code"] == code
    said = ready.host.received[stderr].decode()
    assert said.startswith("stockade: ")
    assert said.count("\n") == 1


def test_files_are_read_as_the_workloads_user(ready: _Desk) -> None:
    # In /proc, where that user may enter; a temporary folder of pytest's is closed to it.
    for path, code, said in (("self/comm", 0, b""), ("1/environ", 1, b"EACCES")):
        stdin, stdout, stderr = (ready.host.open() for _ in range(3))
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        call = ready.ask(op="file", action="read", path=f"/proc/{path}", **streams)
        assert ready.answers(call, "started exited")[1]["code"] == code
        assert bool(ready.host.received[stdout]) is (code == 0)
        assert said in ready.host.received[stderr]


def test_a_signal_and_a_size_reach_the_command(ready: _Desk) -> None:
    call, output = ready.exec("trap 'exit 9' USR1; echo ready; sleep 600 & wait")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the trap to be set")
    ready.say(call, {"op": "resize", "rows": 1, "columns": 1})
    ready.say(call, {"op": "no such word"})
    ready.say(call, {"op": "signal", "signal": "USR1"})
    assert ready.answers(call, "started exited")[1]["code"] == 9


def test_a_word_that_makes_no_sense_ends_the_call_and_not_the_agent(
    ready: _Desk, workload: PlayedGroup
) -> None:
    call, _ = ready.exec("sleep 600")
    ready.answers(call, "started")
    ready.say(call, {"op": "signal", "signal": "NONSENSE"})
    assert ready.answers(call, "started failed")[1]["kind"] == "malformed"
    ready.host.connection.reset(call, "no longer wanted")
    ready.host.serve(lambda: not ready.agent.commands, "the command to be killed")
    assert not workload.populated()


def test_a_call_that_the_host_drops_takes_its_command_along(
    ready: _Desk, workload: PlayedGroup
) -> None:
    call, output = ready.exec("setsid sleep 600 & echo ready; sleep 600")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the command to run")
    ready.host.connection.reset(call, "no longer wanted")
    ready.host.serve(lambda: not ready.agent.commands, "the command to be killed")
    assert not workload.populated()


def test_commands_run_side_by_side(ready: _Desk) -> None:
    calls = [ready.exec(f"read x; exit {number}")[0] for number in range(20)]
    stdins = [call - 6 for call in calls]  # the first of the three opened before each call
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 20
    for stdin in stdins:
        ready.host.connection.end(stdin)
    codes = [ready.answers(call, "started exited")[1]["code"] for call in calls]
    assert codes == list(range(20))


def test_the_hungriest_command_ends_when_memory_is_used_up(ready: _Desk) -> None:
    call, output = ready.exec("echo ready; sleep 600")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the command to run")
    PlayedGroup.measured["anon"] = 65 * _MIB
    end = ready.answers(call, "started exited")[1]
    assert (end["code"], end["limit"]) == (137, "memory")
    assert ready.answers(ready.ask(op="stats"), "done")[0]["memory"] == 65 * _MIB


def test_a_stream_that_no_request_names_is_left_alone(desk: _Desk) -> None:
    stream = desk.host.open(b"data")
    desk.host.say(stream, b"nobody asked", last=True)
    desk.answers(desk.ask(op="ping"), "done")
    assert desk.host.received[stream] == b""
    assert stream not in desk.host.ended


def test_a_request_cut_off_is_no_request(desk: _Desk) -> None:
    cut = desk.host.open(b"call")
    desk.host.say(cut, encode_message({"op": "ping"})[:-1], last=True)
    desk.answers(desk.ask(op="ping"), "done")
    assert desk.host.received[cut] == b""


@pytest.mark.parametrize("raw", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\3{a}"])
def test_what_is_no_message_ends_the_agent(desk: _Desk, raw: bytes) -> None:
    """The host speaks the protocol or is not the host: main powers the machine off."""
    call = desk.host.open(b"call")
    desk.host.say(call, raw)
    with pytest.raises(ProtocolError):
        desk.host.serve(lambda: False, "never")
