from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.guest.conftest import PlayedGroup, awaits_order

from stockade.guest import command
from stockade.guest.channel import Channel
from stockade.guest.command import Command
from stockade.guest.spawn import Context, Spare
from stockade.wire.connection import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.guest.conftest import Host

    from stockade.guest.loop import Loop

# Other tests may have left threads, and nothing but the child is used after the fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

_NOBODY = 65534
_SHELL = b"/bin/sh"


class _Unclaimed:
    def data(self, stream: int, chunk: bytes | bytearray) -> None: ...
    def ended(self, stream: int) -> None: ...
    def reset(self, stream: int, reason: str) -> None: ...
    def writable(self, stream: int) -> None: ...


def _shell(script: str) -> tuple[Any, ...]:
    """The order to run a script."""
    return ("exec", [_SHELL, b"-c", script.encode()], {b"PATH": b"/usr/bin:/bin"}, b"/")


class _ClosedGroup(PlayedGroup):
    """A group that no process can join."""

    def join(self) -> None:
        raise PermissionError(1, "Operation not permitted", "cgroup.procs")


class _LateGroup(PlayedGroup):
    """A group that a process joins only when it is let; until then it is still the agent's."""

    def __init__(self, name: str, parent: PlayedGroup) -> None:
        super().__init__(name, parent)
        self._held, self._release = os.pipe()

    def join(self) -> None:
        # Both ends are open here too, so that the end of the test's process lets it go as well.
        os.read(self._held, 1)
        super().join()

    def let(self) -> None:
        os.write(self._release, b"x")

    def close(self) -> None:
        os.close(self._held)
        os.close(self._release)


class _Bench:
    """One command, its streams at the host's end, and its report."""

    def __init__(self, loop: Loop, host: Host, workload: PlayedGroup) -> None:
        self.host = host
        self.namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        self.channel = Channel(loop, host.port, lambda _stream, _payload: _Unclaimed())
        self.loop, self.workload = loop, workload
        self.stdin, self.stdout, self.stderr = (host.open() for _ in range(3))
        self.reports: list[dict[str, Any]] = []
        host.serve(lambda: self.stderr in self.channel.connection.streams, "the streams")

    def make(self, group: PlayedGroup, cpu_time: float | None = None) -> Command:
        return Command(
            self.loop, self.channel, group, cpu_time=cpu_time, report=self.reports.append
        )

    def spare(self, group: PlayedGroup | None = None, namespace: int | None = None) -> Spare:
        return Spare(
            Context(
                self.namespace if namespace is None else namespace,
                _NOBODY,
                _NOBODY,
                group or PlayedGroup("command-1", self.workload),
            )
        )

    def request(self, tty: dict[str, int] | None = None) -> dict[str, Any]:
        streams = {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr}
        return {**streams, "tty": tty, "uid": _NOBODY, "gid": _NOBODY}

    def start(
        self,
        script: str,
        *,
        tty: dict[str, int] | None = None,
        group: PlayedGroup | None = None,
        cpu_time: float | None = None,
        namespace: int | None = None,
    ) -> Command:
        group = group or PlayedGroup("command-1", self.workload)
        made = self.make(group, cpu_time)
        made.start(self.spare(group, namespace), self.request(tty), _shell(script))
        return made

    def report(self) -> dict[str, Any]:
        self.host.serve(lambda: self.reports, "the command to end")
        (report,) = self.reports
        return report

    def says(self, text: bytes) -> Callable[[], bool]:
        return lambda: text in self.host.received[self.stdout]


@pytest.fixture
def bench(loop: Loop, host: Host, workload: PlayedGroup) -> Iterator[_Bench]:
    made = _Bench(loop, host, workload)
    yield made
    os.close(made.namespace)


@pytest.mark.parametrize(
    ("script", "code", "number"),
    [("exit 0", 0, None), ("exit 7", 7, None), ("kill -TERM $$", 143, 15), ("kill -9 $$", 137, 9)],
)
def test_a_command_reports_how_it_ended(
    bench: _Bench, script: str, code: int, number: int | None
) -> None:
    bench.start(f"echo out; echo err >&2; {script}")
    report = bench.report()
    assert (report["code"], report["signal"], report["limit"]) == (code, number, None)
    assert bench.host.received[bench.stdout] == b"out\n"
    assert bench.host.received[bench.stderr] == b"err\n"
    assert {bench.stdout, bench.stderr} <= bench.host.ended
    usage = report["usage"]
    assert usage["memory_peak"] == 4096
    assert min(usage["wall"], usage["cpu_user"], usage["cpu_system"]) >= 0


def test_its_group_is_gone_with_it(bench: _Bench) -> None:
    made = bench.start("true")
    bench.report()
    assert not Path(made.group.path).exists()


def test_input_reaches_it_and_ends(bench: _Bench) -> None:
    bench.start("cat; echo end")
    bench.host.say(bench.stdin, b"some input\n", last=True)
    assert bench.report()["code"] == 0
    assert bench.host.received[bench.stdout] == b"some input\nend\n"


def test_it_has_no_privilege_left_and_nothing_of_the_agents(bench: _Bench) -> None:
    bench.start("cat /proc/self/status; ls /proc/self/fd | wc -l; env | grep -vE '^(PWD|_|PATH)='")
    bench.report()
    said = bench.host.received[bench.stdout].decode()
    status = dict(re.findall(r"^(\w+):\t(.*)$", said, re.MULTILINE))
    assert set(status["Uid"].split() + status["Gid"].split()) == {str(_NOBODY)}
    assert status["Groups"].strip() == ""
    assert status["NoNewPrivs"] == "1"
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapAmb")} == {0}
    assert int(status["SigIgn"], 16) & (1 << 12) == 0  # SIGPIPE, which Python ignores
    assert int(status["SigBlk"], 16) == 0
    assert said.splitlines()[-1] == "4"  # the three streams, and the folder that is listed


def test_what_it_leaves_running_ends_with_it(bench: _Bench) -> None:
    bench.start("setsid sleep 600 >/dev/null 2>&1 & echo $!")
    assert bench.report()["code"] == 0
    pid = int(bench.host.received[bench.stdout])
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or ") Z " in state.read_text("utf-8")


def test_it_ends_only_when_all_its_output_is_sent(bench: _Bench) -> None:
    bench.host.credits = False
    bench.start(f"head -c {WINDOW + 1} /dev/zero")
    held_up = bench.host.received[bench.stdout]
    bench.host.serve(lambda: len(held_up) == WINDOW, "the host's credit to be used up")
    other = bench.host.open()
    bench.host.serve(lambda: other in bench.channel.connection.streams, "another turn")
    assert not bench.reports
    bench.host.connection.consumed(bench.stdout, WINDOW)
    assert bench.report()["code"] == 0
    assert len(held_up) == WINDOW + 1


def test_output_nobody_wants_any_more_ends_it_by_sigpipe(bench: _Bench) -> None:
    bench.start("exec yes")
    bench.host.serve(bench.says(b"y\n"), "some output")
    bench.host.connection.reset(bench.stdout, "output limit")
    assert bench.report()["signal"] == 13


def test_a_signal_reaches_its_whole_process_group(bench: _Bench) -> None:
    made = bench.start("trap 'echo caught; exit 3' TERM; echo ready; sleep 600 & wait")
    bench.host.serve(bench.says(b"ready"), "the trap to be set")
    made.signal("TERM")
    assert bench.report()["code"] == 3
    assert bench.host.received[bench.stdout] == b"ready\ncaught\n"


def test_an_unknown_signal_is_an_error(bench: _Bench) -> None:
    made = bench.start("read x")
    with pytest.raises(KeyError):
        made.signal("NOSUCH")
    bench.host.connection.end(bench.stdin)
    bench.report()


def test_a_signal_after_its_end_reaches_nobody(bench: _Bench) -> None:
    made = bench.start("true")
    bench.report()
    made.signal("KILL")  # the process id may be another's by now


@pytest.mark.parametrize("name", ["TERM", "HUP", "KILL"])
def test_a_signal_before_it_leads_a_group_ends_it_all_the_same(bench: _Bench, name: str) -> None:
    group = _LateGroup("command-1", bench.workload)
    made = bench.start("echo not reached", group=group)
    made.signal(name)
    group.let()
    report = bench.report()
    group.close()
    assert report["code"] == 128 + {"TERM": 15, "HUP": 1, "KILL": 9}[name]
    assert bench.host.received[bench.stdout] == b""


def test_a_kill_before_it_has_joined_its_group_ends_it_all_the_same(bench: _Bench) -> None:
    """Otherwise it would run on, with nobody left who knows of it."""
    group = _LateGroup("command-1", bench.workload)
    made = bench.start("echo not reached; sleep 600", group=group)
    made.kill()
    group.let()
    report = bench.report()
    group.close()
    assert (report["code"], report["signal"], report["limit"]) == (137, 9, None)
    assert bench.host.received[bench.stdout] == b""


def test_a_kill_because_of_a_limit_is_reported_as_such_and_the_first_counts(bench: _Bench) -> None:
    made = bench.start("echo ready; sleep 600")
    bench.host.serve(bench.says(b"ready"), "the command to run")
    made.kill("memory")
    made.kill("processes")
    report = bench.report()
    assert (report["code"], report["limit"]) == (137, "memory")


@pytest.mark.parametrize(
    ("counted", "limit"), [("out of memory", "memory"), ("refused forks", "processes")]
)
def test_what_the_kernel_has_counted_ends_it(bench: _Bench, counted: str, limit: str) -> None:
    made = bench.start("echo ready; sleep 600")
    bench.host.serve(bench.says(b"ready"), "the command to run")
    made.check_limits()
    PlayedGroup.measured[counted] = 1
    made.check_limits()
    assert bench.report()["limit"] == limit


def test_a_limit_met_just_before_the_end_is_still_found(bench: _Bench) -> None:
    PlayedGroup.measured["out of memory"] = 1
    bench.start("exit 1")
    report = bench.report()
    assert (report["code"], report["limit"]) == (137, "memory")


def test_processor_time_is_bounded_with_all_children(bench: _Bench) -> None:
    made = bench.start("sh -c 'while :; do :; done'", cpu_time=0.05)
    bench.loop.every(0.01, made.check_limits, made.check_limits)
    report = bench.report()
    bench.loop.cancel(made.check_limits)
    assert report["limit"] == "cpu_time"
    assert report["usage"]["cpu_user"] + report["usage"]["cpu_system"] >= 0.05


def test_a_terminal_has_a_size_that_can_change_and_turns_characters_into_signals(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TERMINALS", "/dev/pts")
    made = bench.start(
        "stty size; read x; stty -echo; stty size; cat", tty={"rows": 11, "columns": 22}
    )
    bench.host.serve(bench.says(b"11 22"), "the first size")
    made.resize(33, 44)
    bench.host.say(bench.stdin, b"\n")
    bench.host.serve(bench.says(b"33 44"), "the second size")
    # Between two programs the shell would catch the signal, and only note it.
    bench.host.say(bench.stdin, b"from cat\n")
    bench.host.serve(bench.says(b"from cat"), "the last program to run")
    bench.host.say(bench.stdin, b"\x03")
    assert bench.report()["signal"] == 2
    made.resize(1, 1)  # too late, and no harm


def test_a_size_for_a_command_without_a_terminal_means_nothing(bench: _Bench) -> None:
    bench.start("true").resize(1, 1)
    assert bench.report()["code"] == 0


def _open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("missing", ["stdin", "stdout", "stderr"])
def test_a_request_without_its_streams_starts_nothing(bench: _Bench, missing: str) -> None:
    spare = bench.spare()
    request = bench.request()
    del request[missing]
    before = _open_descriptors()
    with pytest.raises(KeyError):
        bench.make(PlayedGroup("command-2", bench.workload)).start(spare, request, ("none",))
    assert _open_descriptors() == before
    spare.discard()
    bench.loop.wait(spare.pid)
    assert not spare.context.group.populated()


def test_a_spare_that_is_gone_is_an_error_and_leaves_nothing_open(bench: _Bench) -> None:
    spare = bench.spare()
    os.kill(spare.pid, signal.SIGKILL)
    bench.loop.wait(spare.pid)
    before = _open_descriptors()
    made = bench.make(PlayedGroup("command-2", bench.workload))
    with pytest.raises(OSError, match="Broken pipe"):
        made.start(spare, bench.request(), _shell("echo not reached"))
    assert len(_open_descriptors()) == len(before) - 1  # the agent's end of the spare's own link


@pytest.mark.parametrize("moment", ["before it is contained", "while it waits"])
def test_a_spare_that_was_stopped_goes_on(bench: _Bench, moment: str) -> None:
    group = _LateGroup("command-1", bench.workload)
    spare = bench.spare(group)
    if moment == "while it waits":
        group.let()
        bench.host.serve(lambda: awaits_order(spare), "its containment")
    os.kill(spare.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, spare.pid, os.WSTOPPED | os.WNOWAIT)
    bench.make(group).start(spare, bench.request(), _shell("echo went on"))
    group.let()
    report = bench.report()
    group.close()
    assert (report["code"], bytes(bench.host.received[bench.stdout])) == (0, b"went on\n")


def test_a_discarded_spare_ends_whatever_the_workload_did_to_it(bench: _Bench) -> None:
    spare = bench.spare()
    os.kill(spare.pid, signal.SIGSTOP)
    spare.discard()
    bench.loop.wait(spare.pid)
    spare.context.group.remove()


def test_a_spare_ends_with_the_agent(bench: _Bench) -> None:
    spare = bench.spare()
    spare._end.close()
    _, status = os.waitpid(spare.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_failure_to_join_the_group_is_told_and_nothing_runs(bench: _Bench) -> None:
    bench.start("echo not reached", group=_ClosedGroup("command-1", bench.workload))
    assert bench.report()["code"] == 126
    said = bench.host.received[bench.stderr]
    assert said == b"stockade: cgroup.procs: Operation not permitted\n"
    assert bench.host.received[bench.stdout] == b""


def test_a_failure_to_enter_the_namespace_is_told_and_nothing_runs(bench: _Bench) -> None:
    no_namespace = os.open("/dev/null", os.O_RDONLY)
    bench.start("echo not reached", namespace=no_namespace)
    os.close(no_namespace)
    assert bench.report()["code"] == 126
    assert bench.host.received[bench.stderr] == b"stockade: Invalid argument\n"
    assert bench.host.received[bench.stdout] == b""


@pytest.mark.parametrize("order", [("no such deed",), ("exec",), ("exec", [], {}, b"/"), (), 7])
def test_an_order_that_is_none_is_told(bench: _Bench, order: Any) -> None:
    group = PlayedGroup("command-1", bench.workload)
    bench.make(group).start(bench.spare(group), bench.request(), order)
    assert bench.report()["code"] == 126
    said = bench.host.received[bench.stderr].decode()
    assert said.startswith("stockade: cannot start the command: ")
    assert said.count("\n") == 1


def test_an_order_may_be_as_long_as_arguments_can_be(bench: _Bench) -> None:
    group = PlayedGroup("command-1", bench.workload)
    words = [b"%07d" % number + b"x" * 100_000 for number in range(19)]
    order: tuple[Any, ...] = ("exec", [_SHELL, b"-c", b"printf %s $# $*", b"sh", *words], {}, b"/")
    bench.make(group).start(bench.spare(group), bench.request(), order)
    assert bench.report()["code"] == 0
    assert bench.host.received[bench.stdout] == b"19" + b"".join(words)


def test_an_order_of_2_mib_is_more_than_the_kernel_takes(bench: _Bench) -> None:
    group = PlayedGroup("command-1", bench.workload)
    order: tuple[Any, ...] = ("exec", [_SHELL, *(b"x" * 100_000 for _ in range(21))], {}, b"/")
    bench.make(group).start(bench.spare(group), bench.request(), order)
    assert bench.report()["code"] == 126
    said = bench.host.received[bench.stderr]
    assert said == b"stockade: /bin/sh: Argument list too long\n"


def test_no_descriptor_of_the_agent_is_left_whatever_its_number(bench: _Bench) -> None:
    numbers = (900, os.sysconf("SC_OPEN_MAX") - 1)
    for number in numbers:
        os.dup2(bench.namespace, number)  # which a program that is started would inherit
    bench.start("ls /proc/self/fd")
    bench.report()
    for number in numbers:
        os.close(number)
    assert bench.host.received[bench.stdout].split() == [b"0", b"1", b"2", b"3"]
