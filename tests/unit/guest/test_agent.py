from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.guest.conftest import CONFIGURE, Desk, PlayedGroup

from stockade.guest import machine
from stockade.wire.adoption import ADOPTION_SIZE, NONCE_SIZE, SEED_SIZE, Adoption
from stockade.wire.connection import WINDOW
from stockade.wire.errors import ProtocolError
from stockade.wire.messages import encode_message

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

_MIB = 1 << 20


def test_a_ping_needs_nothing(desk: Desk) -> None:
    call = desk.ask(op="ping")
    assert desk.answers(call, "done") == [{"event": "done"}]
    desk.host.serve(lambda: call in desk.host.ended, "the agent to end the stream")


def test_nothing_else_is_done_before_the_machine_is_configured(desk: Desk) -> None:
    for request in ({"op": "stats"}, {"op": "exec"}, {"op": "file"}, {"op": "no such"}, {}):
        (answer,) = desk.answers(desk.ask(**request), "failed")
        assert answer["kind"] == "not-configured"


def test_an_unknown_operation_is_refused(ready: Desk) -> None:
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
        {"op": "file", "action": ["read"], "path": "/"},
        {"op": "file", "action": "read", "path": 7},
        {"op": "file", "path": "/"},
        {"op": "file", "action": "write", "path": "/", "mode": "rw"},
        {"op": "file", "action": "read", "path": "/"},
        {"op": "rest"},
    ],
)
def test_a_malformed_request_is_refused_and_leaves_nothing(
    ready: Desk, request_: dict[str, object]
) -> None:
    (answer,) = ready.answers(ready.ask(**request_), "failed")
    assert answer["kind"] == "malformed"
    assert ready.groups() == set()
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 0


def test_a_failure_of_the_system_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_disk(_disks: object) -> None:
        raise FileNotFoundError(2, "No such device", "files-3")

    monkeypatch.setattr(machine, "prepare", no_disk)
    (answer,) = desk.answers(desk.ask(**CONFIGURE), "failed")
    assert answer["kind"] == "system"
    assert "files-3" in answer["message"]


def test_a_command_is_started_and_its_end_reported(ready: Desk) -> None:
    call, output = ready.exec("echo hello; exit 3")
    _, end = ready.answers(call, "started exited")
    assert (end["code"], end["signal"], end["limit"]) == (3, None, None)
    assert end["scratch_free"] > 0
    assert ready.host.received[output] == b"hello\n"
    ready.host.serve(lambda: call in ready.host.ended, "the agent to end the stream")
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 0


def test_arguments_and_environment_may_be_any_bytes(ready: Desk) -> None:
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
    ready: Desk, argv: list[str], cwd: str, code: int
) -> None:
    stderr = ready.host.open()
    call, _ = ready.exec("", argv=argv, cwd=cwd, stderr=stderr)
    assert ready.answers(call, "started exited")[1]["code"] == code
    said = ready.host.received[stderr].decode()
    assert said.startswith("stockade: ")
    assert said.count("\n") == 1


def test_files_are_read_as_the_workloads_user(ready: Desk) -> None:
    # In /proc, where that user may enter; a temporary folder of pytest's is closed to it.
    for path, code, said in (("self/comm", 0, b""), ("1/environ", 1, b"EACCES")):
        stdin, stdout, stderr = (ready.host.open() for _ in range(3))
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        call = ready.ask(op="file", action="read", path=f"/proc/{path}", **streams)
        assert ready.answers(call, "started exited")[1]["code"] == code
        assert bool(ready.host.received[stdout]) is (code == 0)
        assert said in ready.host.received[stderr]


def test_a_signal_and_a_size_reach_the_command(ready: Desk) -> None:
    call, output = ready.exec("trap 'exit 9' USR1; echo ready; sleep 600 & wait")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the trap to be set")
    ready.say(call, {"op": "resize", "rows": 1, "columns": 1})
    ready.say(call, {"op": "no such word"})
    ready.say(call, {"op": "signal", "signal": "USR1"})
    assert ready.answers(call, "started exited")[1]["code"] == 9


def test_a_word_that_makes_no_sense_ends_the_call_and_not_the_agent(ready: Desk) -> None:
    call, _ = ready.exec("sleep 600")
    ready.answers(call, "started")
    ready.say(call, {"op": "signal", "signal": "NONSENSE"})
    assert ready.answers(call, "started failed")[1]["kind"] == "malformed"
    ready.host.connection.reset(call, "no longer wanted")
    ready.host.serve(lambda: not ready.agent.commands, "the command to be killed")
    assert ready.groups() == {ready.spare().context.group.path}


def test_a_call_that_the_host_drops_takes_its_command_along(ready: Desk) -> None:
    call, output = ready.exec("setsid sleep 600 & echo ready; sleep 600")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the command to run")
    ready.host.connection.reset(call, "no longer wanted")
    ready.host.serve(lambda: not ready.agent.commands, "the command to be killed")
    assert ready.groups() == {ready.spare().context.group.path}


def test_commands_run_side_by_side(ready: Desk) -> None:
    calls = [ready.exec(f"read x; exit {number}")[0] for number in range(20)]
    stdins = [call - 6 for call in calls]  # the first of the three opened before each call
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 20
    for stdin in stdins:
        ready.host.connection.end(stdin)
    codes = [ready.answers(call, "started exited")[1]["code"] for call in calls]
    assert codes == list(range(20))


def test_the_hungriest_command_ends_when_memory_is_used_up(ready: Desk) -> None:
    call, output = ready.exec("echo ready; sleep 600")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the command to run")
    PlayedGroup.measured["anon"] = 65 * _MIB
    end = ready.answers(call, "started exited")[1]
    assert (end["code"], end["limit"]) == (137, "memory")
    assert ready.answers(ready.ask(op="stats"), "done")[0]["memory"] == 65 * _MIB


def test_a_stream_that_no_request_names_is_left_alone(desk: Desk) -> None:
    stream = desk.host.open(b"data")
    desk.host.say(stream, b"nobody asked", last=True)
    desk.answers(desk.ask(op="ping"), "done")
    assert desk.host.received[stream] == b""
    assert stream not in desk.host.ended


def test_a_request_cut_off_is_no_request(desk: Desk) -> None:
    cut = desk.host.open(b"call")
    desk.host.say(cut, encode_message({"op": "ping"})[:-1], last=True)
    desk.answers(desk.ask(op="ping"), "done")
    assert desk.host.received[cut] == b""


@pytest.mark.parametrize("raw", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\3{a}"])
def test_what_is_no_message_ends_the_agent(desk: Desk, raw: bytes) -> None:
    """The host speaks the protocol or is not the host: main powers the machine off."""
    call = desk.host.open(b"call")
    desk.host.say(call, raw)
    with pytest.raises(ProtocolError):
        desk.host.serve(lambda: False, "never")


def test_an_adoption_may_come_in_parts(fresh: Desk) -> None:
    """Nothing is said before it is whole: until then the random numbers are another's."""
    adoption = Adoption(os.urandom(NONCE_SIZE), os.urandom(SEED_SIZE), 2.5)
    record = adoption.pack()
    sent: list[int] = [0]

    def taken() -> bool:
        return len(fresh.agent._record) == sent[-1]

    for end in (1, 50, ADOPTION_SIZE - 1):
        fresh.control.sendall(record[sent[-1] : end])
        sent.append(end)
        fresh.host.serve(taken, "a part to be read")
    assert fresh.heard == []
    with pytest.raises(BlockingIOError):
        fresh.host.socket.recv(1)
    fresh.host.begin(after=adoption.nonce)
    fresh.control.sendall(record[-1:])
    fresh.host.serve(lambda: fresh.host.turn, "the agent's first word")
    assert fresh.heard == [adoption]
    fresh.answers(fresh.ask(op="ping"), "done")


def test_the_nonce_comes_first_and_then_the_greeting(fresh: Desk) -> None:
    adoption = fresh.adopt()
    assert fresh.host.passed == b""
    fresh.answers(fresh.ask(op="ping"), "done")
    again = Adoption(bytes(NONCE_SIZE), bytes(SEED_SIZE), 0.0)
    fresh.control.sendall(again.pack())
    fresh.host.listens = False
    fresh.host.serve(lambda: len(fresh.heard) == 2, "the second adoption")
    assert adoption != again
    assert fresh.host.socket.recv(1 << 10) == again.nonce + b"\1\0\0\x0a\0\0\0\0stockade\0\1"


@pytest.mark.parametrize("stale", [b"x", b"GET / HTTP/1.1\r\n\r\n", bytes(100_000)])
def test_what_lies_in_the_port_is_for_another_host(fresh: Desk, stale: bytes) -> None:
    assert fresh.host.socket.send(stale) == len(stale)
    fresh.adopt()
    fresh.answers(fresh.ask(op="ping"), "done")


def test_half_a_frame_of_the_host_before_is_no_part_of_the_next_ones(ready: Desk) -> None:
    """A copy is taken at any moment: between the two parts of what was said, for example."""
    whole, cut = ready.host.open(b"call"), ready.host.open(b"call")
    ready.host.say(whole, encode_message({"op": "ping"})[:-5])
    ready.host.say(cut, bytes(1000))
    wire = b"".join(ready.host.connection.take_output())
    ready.host.socket.sendall(wire[:-500])
    ready.host.serve(lambda: cut in ready.agent.channel.connection.streams, "most of it to arrive")
    ready.adopt()
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 0


def test_another_adoption_cuts_streams_off_and_leaves_commands_running(ready: Desk) -> None:
    _, output = ready.exec("echo ready; exec sleep 600")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the command to run")
    (command,) = ready.agent.commands
    ready.adopt()
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 1
    assert ready.run("echo next") == "next\n"
    assert command.group.populated()
    command.kill()
    ready.host.serve(lambda: not ready.agent.commands, "the command to end")
    # Its end is told to nobody: a frame on a stream that is not open would break the protocol.
    assert ready.answers(ready.ask(op="stats"), "done")[0]["commands"] == 0
    assert set(ready.host.received) == {1, 3, 5, 7, 9, 11}
    assert ready.host.resets == {}


def test_input_that_was_cut_off_is_at_its_end(ready: Desk) -> None:
    _, output = ready.exec("echo ready; cat; echo ended >&2")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the command to run")
    ready.adopt()
    ready.host.serve(lambda: not ready.agent.commands, "the command to end by itself")


def test_a_command_whose_output_waited_ends_unheard(ready: Desk) -> None:
    """Its report falls into the moment between the two hosts."""
    ready.host.credits = False
    _, output = ready.exec(f"head -c {WINDOW + 1} /dev/zero")
    ready.host.serve(lambda: len(ready.host.received[output]) == WINDOW, "the credit to be used up")
    (command,) = ready.agent.commands
    ready.host.serve(lambda: not command.group.populated(), "the process to end")
    ready.host.credits = True
    ready.adopt()
    ready.host.serve(lambda: not ready.agent.commands, "the command to be over")
    assert ready.run("echo next") == "next\n"


def test_at_rest_the_workload_is_fresh_and_must_be_configured(ready: Desk) -> None:
    ready.run("true")
    before = ready.agent._workload
    assert before
    inode = Path(before.path).stat().st_ino
    ready.answers(ready.ask(op="rest", disks="files-"), "done")
    after = ready.agent._workload
    assert after
    assert (after.path, Path(after.path).stat().st_ino != inode) == (before.path, True)
    for request in ({"op": "exec"}, {"op": "stats"}, {"op": "file"}, {"op": "rest"}):
        (answer,) = ready.answers(ready.ask(**request), "failed")
        assert answer["kind"] == "not-configured"
    ready.configure()
    assert ready.run("echo again") == "again\n"


def test_a_machine_at_rest_can_be_adopted_configured_and_put_to_rest_again(ready: Desk) -> None:
    for _ in range(3):
        ready.run("true")
        ready.answers(ready.ask(op="rest", disks="files-"), "done")
        ready.adopt()
        ready.configure()
    assert ready.groups() == {ready.spare().context.group.path}


def test_there_is_no_rest_while_a_command_runs(ready: Desk) -> None:
    call, output = ready.exec("echo ready; read x; exit 3")
    ready.host.serve(lambda: b"ready" in ready.host.received[output], "the command to run")
    (answer,) = ready.answers(ready.ask(op="rest", disks="files-"), "failed")
    assert answer["kind"] == "system"
    assert ready.run("echo goes on") == "goes on\n"
    ready.host.connection.end(call - 6)  # its input
    assert ready.answers(call, "started exited")[1]["code"] == 3
