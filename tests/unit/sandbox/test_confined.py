from __future__ import annotations

import os
import shutil
import signal
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.unit.sandbox.conftest import open_descriptors
from tests.unit.sandbox.played import make_links

from stockade.model.errors import MachineError
from stockade.sandbox import callfilter, registry
from stockade.sandbox.cgroups import Ceiling, find_hierarchy
from stockade.sandbox.confined import ConfinedProcess
from stockade.sandbox.jail import Jail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Eventually = Callable[[Callable[[], object], str], None]

pytestmark = pytest.mark.anyio

_SHELL = Path(shutil.which("dash") or "/bin/sh").resolve()
_BASH = shutil.which("bash")
_JAIL = Jail(_SHELL, folders=(Path("/usr/bin"),))
_CEILING = Ceiling(memory=256 << 20, cpus=1, tasks=20)


@pytest.fixture
def machine() -> Iterator[str]:
    """The name of a machine of which nothing may be left."""
    name = registry.new_id()
    yield name
    assert _groups(name) == []


def _groups(machine: str) -> list[Path]:
    parents = find_hierarchy().parents.values()
    return [path for parent in set(parents) for path in parent.glob(f"stockade-{machine}")]


async def _start(
    machine: str, script: str, *, jail: Jail = _JAIL, filter_fd: int | None = None
) -> ConfinedProcess:
    """Start a shell that has the other end of the channel as its descriptor 7."""
    links, ends = make_links()
    with closing(ends):
        return await ConfinedProcess.start(
            jail,
            ["-c", script, "sh", str(ends.channel.fileno())],
            machine=machine,
            ceiling=_CEILING,
            links=links,
            pass_fds=[ends.channel.fileno()],
            filter_fd=filter_fd,
        )


def _alive(pid: int) -> bool:
    return registry.start_ticks(pid) != 0


async def test_the_program_runs_until_it_ends_and_its_last_words_are_kept(machine: str) -> None:
    process = await _start(machine, "echo first; echo last; echo; echo '  '")
    assert await process.wait() == "last"
    await process.close()


@pytest.mark.skipif(_BASH is None, reason="other shells know descriptors of one digit only")
async def test_the_channel_leads_to_the_program(machine: str) -> None:
    process = await _start(machine, 'echo "from the jail" >&$1', jail=Jail(Path(str(_BASH))))
    await process.wait()
    assert process.links.channel.recv(100) == b"from the jail\n"
    assert process.links.channel.recv(100) == b""
    await process.close()


async def test_a_program_that_says_nothing_has_no_last_words(machine: str) -> None:
    process = await _start(machine, "exit 3")
    assert await process.wait() == ""
    await process.close()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (r"\033[2J\033]0;owned\007panic", "?[2J?]0;owned?panic"),
        (r"\377\376", "\ufffd\ufffd"),
        (r"a\u202eb", None),
        (r"one\rtwo", "two"),
    ],
)
async def test_last_words_are_made_printable(machine: str, said: str, shown: str | None) -> None:
    process = await _start(machine, f"printf '{said}\\n'")
    words = await process.wait()
    assert words.isprintable()
    assert shown is None or words == shown
    await process.close()


async def test_only_the_end_of_endless_words_is_kept(machine: str) -> None:
    process = await _start(machine, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert await process.wait() == "the end"
    assert len(process._tail) <= 16 * 1024
    await process.close()


async def test_one_endless_line_is_cut(machine: str) -> None:
    process = await _start(machine, "head -c 100000 /dev/zero | tr '\\0' x")
    assert await process.wait() == "x" * 300
    await process.close()


def _is_over(pid: int) -> Callable[[], bool]:
    return lambda: not _alive(pid)


async def test_close_kills_everything_in_the_jail(machine: str, eventually: Eventually) -> None:
    process = await _start(machine, "trap '' TERM; setsid sleep 600 & sleep 600 & echo up; wait")
    group = [int(pid) for path in _groups(machine)[:1] for pid in _members(path)]
    pid = process.pid
    assert _alive(pid)
    await process.close()
    for member in (pid, *group):
        eventually(_is_over(member), f"process {member} to end")
    links = process.links
    assert {link.fileno() for link in (links.channel, links.control, links.monitor)} == {-1}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(links.saved)
    await process.close()


def _members(group: Path) -> list[str]:
    return (group / "cgroup.procs").read_text().split()


async def test_close_is_finished_even_when_it_is_cancelled(machine: str) -> None:
    process = await _start(machine, "sleep 600")
    pid = process.pid
    with anyio.CancelScope() as scope:
        scope.cancel()
        await process.close()
    assert not _alive(pid)


async def test_it_is_in_a_group_with_its_ceilings(machine: str) -> None:
    if find_hierarchy().missing:
        pytest.skip(f"no cgroup here for {', '.join(find_hierarchy().missing)}")
    process = await _start(machine, "sleep 600")
    groups = _groups(machine)
    assert groups
    assert all(str(process.pid) in _members(group) for group in groups)
    await process.close()


async def test_the_process_id_is_the_programs(machine: str, eventually: Eventually) -> None:
    process = await _start(machine, "exec sleep 600")
    eventually(
        lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n",
        "the jail to be set up and the shell to have become the program",
    )
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await process.close()


@pytest.mark.parametrize("missing", ["file", "program"])
async def test_what_the_jail_cannot_show_is_told_at_its_end(
    machine: str, missing: str, tmp_path: Path
) -> None:
    none = tmp_path / "none"
    jail = Jail(none) if missing == "program" else Jail(_SHELL, files={none: "/machine/kernel"})
    process = await _start(machine, "true", jail=jail)
    assert str(none) in await process.wait()
    await process.close()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "exit status 3"),
        ("echo first; echo 'no user namespaces' >&2; exit 1", "no user namespaces"),
        ("echo '{}' >/dev/fd/$3; echo strange", "strange"),
        ("echo '[]}' >/dev/fd/$3; echo strange", "strange"),
        ("echo 'nonsense}' >/dev/fd/$3; echo strange", "strange"),
        ("echo '{\"child-pid\": null}' >/dev/fd/$3; echo strange", "strange"),
        ("head -c 5000 /dev/zero >/dev/fd/$3; echo strange", "strange"),
        ("printf '\\033[2Jodd\\n'", "?[2Jodd"),
    ],
)
async def test_a_jail_that_does_not_come_up_is_explained_and_leaves_nothing(
    machine: str, script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With something else in bubblewrap's place; its fourth argument is where it should report."""
    bwrap = tmp_path / "bwrap"
    bwrap.write_text(f"#!/bin/sh\nset -- 1 2 $4; {script}\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    before = open_descriptors()
    with pytest.raises(MachineError, match="the machine's jail did not come up: ") as error:
        await _start(machine, "true")
    assert str(error.value).endswith(f": {said}")
    assert open_descriptors() <= before


async def test_a_group_that_cannot_be_made_is_told_and_closes_the_links(machine: str) -> None:
    if find_hierarchy().missing:
        pytest.skip(f"no cgroup here for {', '.join(find_hierarchy().missing)}")
    first = await _start(machine, "sleep 600")
    links, ends = make_links()
    with closing(ends), pytest.raises(MachineError, match="cannot limit the machine by a cgroup"):
        await ConfinedProcess.start(
            _JAIL, ["-c", ""], machine=machine, ceiling=_CEILING, links=links, pass_fds=[]
        )
    assert links.channel.fileno() == -1
    assert _alive(first.pid)
    await first.close()


async def test_a_start_cancelled_at_any_moment_leaves_nothing(machine: str) -> None:
    """Early on, bubblewrap's child has not yet asked to die with its parent."""
    before = open_descriptors()
    for step in range(40):
        with anyio.move_on_after(step * 0.0003):  # a start takes some 5 ms
            process = await _start(machine, "sleep 600")
            await process.close()
        assert _groups(machine) == []
    assert open_descriptors() <= before


async def test_a_program_that_fails_at_once_is_told_by_its_words(machine: str) -> None:
    process = await _start(machine, "echo 'cannot allocate memory' >&2; exit 1")
    assert await process.wait() == "cannot allocate memory"
    await process.close()


async def test_the_program_is_under_the_filter_that_it_is_given(machine: str) -> None:
    script = "grep -c '^Seccomp:.*2$' /proc/self/status"
    for filtered, said in ((False, "0"), (True, "1")):
        filter_fd = callfilter.open_program() if filtered else None
        process = await _start(machine, script, filter_fd=filter_fd)
        assert await process.wait() == said
        await process.close()
        if filter_fd is not None:
            os.close(filter_fd)
