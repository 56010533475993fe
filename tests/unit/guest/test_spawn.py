"""Processes made ahead, as the agent uses them and the workload may disturb them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.guest.conftest import PlayedGroup

if TYPE_CHECKING:
    from tests.unit.guest.conftest import Desk

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_a_command_is_the_process_that_was_made_ahead_and_another_one_is_made(
    ready: Desk,
) -> None:
    ready.run("true")
    first = ready.spare()
    assert ready.run("echo $$") == f"{first.pid}\n"
    second = ready.spare()
    assert second.pid != first.pid
    assert ready.groups() == {second.context.group.path}
    assert ready.run("echo $$") == f"{second.pid}\n"


def test_it_is_made_for_the_user_that_the_session_has(ready: Desk) -> None:
    ready.run("true")
    assert ready.run("id -u") == "65534\n"
    before = ready.spare()
    ready.configure(uid=65534, gid=65534)
    assert ready.spare() is before
    ready.configure(uid=4711, gid=4712)
    assert ready.run("echo $(id -u) $(id -g)") == "4711 4712\n"


@pytest.mark.parametrize("name", ["KILL", "TERM", "HUP", "INT", "USR1"])
def test_one_that_the_workload_kills_is_replaced(ready: Desk, name: str) -> None:
    call, output = ready.exec(f"read pid; kill -{name} $pid; echo killed; read x")
    ready.run("true")
    victim = ready.spare()
    ready.host.say(call - 6, f"{victim.pid}\n".encode())
    ready.host.serve(lambda: not ready.agent._spare, "the agent to see it")
    assert victim.context.group.path not in ready.groups()
    assert ready.run("echo next") == "next\n"
    assert ready.spare().pid != victim.pid
    ready.host.connection.end(call - 6)
    ready.answers(call, "started exited")
    assert ready.host.received[output] == b"killed\n"


def test_one_that_was_killed_when_nobody_has_seen_it_yet_is_replaced(ready: Desk) -> None:
    """The next request may come before the word of its end."""
    ready.run("true")
    victim = ready.spare()
    # The agent's loop is not woken by it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        os.kill(victim.pid, signal.SIGKILL)
        os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)
        call, _ = ready.exec("exit 3")
        ready.answers(call, "started")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    assert ready.answers(call, "started exited")[1]["code"] == 3
    assert ready.groups() == {ready.spare().context.group.path}


def test_one_that_the_workload_has_stopped_goes_on_when_it_is_needed(ready: Desk) -> None:
    call, output = ready.exec("read pid; kill -STOP $pid; echo stopped; read x")
    ready.run("true")
    victim = ready.spare()
    ready.host.say(call - 6, f"{victim.pid}\n".encode())
    ready.host.serve(lambda: b"stopped" in ready.host.received[output], "it to be stopped")
    assert ready.run("echo next") == "next\n"
    ready.host.connection.end(call - 6)
    ready.answers(call, "started exited")


def test_everything_that_the_workload_may_kill_is_not_the_agent(ready: Desk) -> None:
    """As ``kill -9 -1`` would; on this host others may belong to the same user."""
    ready.run("true")
    call, _ = ready.exec("sleep 600")
    ready.run("true")
    assert ready.agent._workload
    victim = ready.spare()
    ready.agent._workload.kill()
    assert ready.answers(call, "started exited")[1]["signal"] == 9
    ready.host.serve(lambda: ready.agent._spare is not victim, "the agent to see it")
    assert ready.run("echo next") == "next\n"


def test_commands_do_not_hold_each_others_streams_open(ready: Desk) -> None:
    """A process that is made while others run inherits the agent's ends of their pipes."""
    ready.run("true")
    reader, said = ready.exec("cat; echo at its end")
    writer, output = ready.exec("echo out; exec >&- 2>&-; read x")  # made when the first ran
    other, _ = ready.exec("read x")
    ready.answers(other, "started")
    ready.host.serve(lambda: {output, output + 2} <= ready.host.ended, "the outputs to end")
    ready.run("true")  # and a spare one is made while all of them run
    ready.host.connection.end(reader - 6)
    assert ready.answers(reader, "started exited")[1]["code"] == 0
    assert ready.host.received[said] == b"at its end\n"
    for call in (writer, other):
        ready.host.connection.end(call - 6)
        ready.answers(call, "started exited")


def test_a_spare_process_has_nothing_of_the_agents_open(ready: Desk) -> None:
    ready.exec("read x")
    ready.run("true")
    spare = ready.spare()
    found = {fd.name: str(fd.readlink()) for fd in Path(f"/proc/{spare.pid}/fd").iterdir()}
    kept = found.keys() - {"0", "1", "2"}
    assert len(kept) == 1
    assert found[kept.pop()].startswith("socket:")


def test_the_workload_can_neither_read_it_nor_see_what_it_has_open(ready: Desk) -> None:
    """It has the memory of the agent, whose user it no longer is."""
    call, output = ready.exec(
        "read pid; for name in mem environ maps fd/0; do cat /proc/$pid/$name; done 2>&1"
    )
    ready.run("true")
    ready.host.say(call - 6, f"{ready.spare().pid}\n".encode(), last=True)
    ready.answers(call, "started exited")
    said = ready.host.received[output].decode().splitlines()
    assert len(said) == 4
    assert all(line.endswith("Permission denied") for line in said)


def test_the_process_that_waits_takes_no_place_of_the_workloads(ready: Desk) -> None:
    """Its limit is exact: one more while there is one that waits, and else none."""
    workload = ready.agent._workload
    assert isinstance(workload, PlayedGroup)
    call, _ = ready.exec("read x")
    ready.answers(call, "started")
    assert workload.limits["processes"] == 100
    ready.run("true")
    assert workload.limits["processes"] == 101
    ready.host.connection.end(call - 6)
    ready.answers(call, "started exited")
    assert workload.limits["processes"] == 101
