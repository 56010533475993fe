"""The hypervisor's own process: what a guest that has taken QEMU over would hold in its hands."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stockade.sandbox import registry
from stockade.sandbox.cgroups import find_hierarchy

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine

_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into the jail")


@pytest.fixture
def hypervisor(box: BlockingSandbox) -> Path:
    """Its folder in /proc."""
    (record,) = (record for record in registry.machines() if record.id == box.id)
    return Path(f"/proc/{record.pid}")


def _status(hypervisor: Path) -> dict[str, str]:
    lines = (hypervisor / "status").read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_it_is_the_hypervisor_that_is_looked_at(hypervisor: Path) -> None:
    assert (hypervisor / "comm").read_text(encoding="utf-8").startswith("qemu")


def test_it_has_no_capability_and_can_gain_none(hypervisor: Path) -> None:
    status = _status(hypervisor)
    assert status["NoNewPrivs"] == "1"
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities


@_AS_ROOT
def test_as_root_it_is_a_user_that_nobody_else_is(hypervisor: Path) -> None:
    status = _status(hypervisor)
    uids = set(status["Uid"].split())
    assert len(uids) == 1
    assert int(uids.pop()) >= 0x7000_0000
    assert set(status["Gid"].split()).isdisjoint({"0"})
    assert status["Groups"] == ""
    assert int(status["CapBnd"], 16) == 0


def test_its_system_calls_are_filtered(hypervisor: Path) -> None:
    status = _status(hypervisor)
    assert status["Seccomp"] == "2"  # a filter; see seccomp(2)
    words = (hypervisor / "cmdline").read_bytes().split(b"\0")
    policy = words[words.index(b"-sandbox") + 1]
    assert b"spawn=deny" in policy
    assert b"elevateprivileges=deny" in policy


@pytest.mark.parametrize("kind", ["mnt", "pid", "net", "ipc", "uts"])
def test_its_namespaces_are_its_own(hypervisor: Path, kind: str) -> None:
    assert (hypervisor / "ns" / kind).readlink() != Path(f"/proc/self/ns/{kind}").readlink()


def test_it_has_no_network_but_an_idle_loopback(hypervisor: Path) -> None:
    lines = (hypervisor / "net" / "dev").read_text(encoding="ascii").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in lines] == ["lo"]


@_AS_ROOT
def test_it_sees_its_program_and_libraries_and_no_more(hypervisor: Path) -> None:
    root = hypervisor / "root"
    assert {path.name for path in root.iterdir()} <= {
        "dev", "lib", "lib32", "lib64", "machine", "proc", "usr",
    }  # fmt: skip
    assert {path.name for path in (root / "usr" / "bin").iterdir()} <= {
        "qemu-system-x86_64", "setpriv",
    }  # fmt: skip
    mounts = (hypervisor / "mountinfo").read_text(encoding="utf-8").splitlines()
    writable = {
        line.split()[4]
        for line in mounts
        if "rw" in line.split()[5].split(",") and not line.split()[4].startswith(("/dev", "/proc"))
    }
    assert writable == set()


def test_its_environment_is_empty(hypervisor: Path) -> None:
    # bubblewrap leaves PWD, which says nothing.
    environment = (hypervisor / "environ").read_bytes().split(b"\0")
    assert {entry.partition(b"=")[0] for entry in environment if entry} <= {b"PWD"}


def test_nothing_of_the_hosts_is_open_but_disks_and_the_channel(hypervisor: Path) -> None:
    opened = [path.readlink() for path in (hypervisor / "fd").iterdir()]
    kinds = {re.sub(r"[\[\d].*", "", str(path)) for path in opened}
    files = {kind for kind in kinds if kind.startswith("/")}
    assert kinds - files <= {"socket:", "pipe:", "anon_inode:"}
    for path in (hypervisor / "fd").iterdir():
        if stat.S_ISREG(path.stat().st_mode) and path.readlink().name != "ram":
            # RAM it opens for writing and cannot write to: see ``test_templates``.
            flags = re.search(
                r"^flags:\s+(\d+)$",
                (hypervisor / "fdinfo" / path.name).read_text(encoding="ascii"),
                re.MULTILINE,
            )
            assert flags
            assert int(flags[1], 8) & os.O_ACCMODE == os.O_RDONLY, path.readlink()
    # The links, what QEMU wakes itself with, and no listening socket of any kind.
    assert not (hypervisor / "net" / "unix").read_text(encoding="ascii").count("00010000")


def test_no_monitor_can_be_reached(hypervisor: Path) -> None:
    """But the one that is an inherited socket, without a name, whose other end is Stockade's."""
    words = (hypervisor / "cmdline").read_bytes().split(b"\0")
    assert b"-nodefaults" in words
    assert not {b"-monitor", b"-qmp", b"-gdb", b"-s", b"-vnc", b"-netdev"} & set(words)
    assert words.count(b"-mon") == 1
    assert words[words.index(b"-mon") + 1] == b"chardev=monitor,mode=control"
    (monitor,) = (word for word in words if word.startswith(b"socket,id=monitor,"))
    end = int(monitor.removeprefix(b"socket,id=monitor,fd="))
    opened = str((hypervisor / "fd" / str(end)).readlink())
    inode = re.fullmatch(r"socket:\[(\d+)\]", opened)
    assert inode
    # The last field of a socket's line is its name, if it has one (proc(5), net/unix).
    sockets = Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in sockets if line.split()[6] == inode[1])
    assert len(line.split()) == 7


def test_its_resources_are_bounded(hypervisor: Path) -> None:
    limits = (hypervisor / "limits").read_text(encoding="ascii")
    assert re.search(r"Max core file size +0 ", limits)
    assert re.search(r"Max file size +0 ", limits)
    assert re.search(r"Max open files +256 ", limits)
    if find_hierarchy().missing:
        pytest.skip(f"no cgroup here for {', '.join(find_hierarchy().missing)}")
    groups = (hypervisor / "cgroup").read_text(encoding="utf-8")
    own = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    assert groups != own
    for parent in find_hierarchy().parents.values():
        assert any(path.is_dir() for path in parent.iterdir())


def test_it_dies_with_stockade(hypervisor: Path) -> None:
    """By parent-death signals, all the way down; ``test_lifecycle`` kills for real."""
    parent = int(_status(hypervisor)["PPid"])
    words = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
    assert b"--die-with-parent" in words
