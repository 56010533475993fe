"""What a command in a machine can reach: nothing of the host, and no way to more privilege."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine


def _sh(box: BlockingSandbox, script: str) -> str:
    return box.exec(["sh", "-c", script]).text.strip()


def _python(box: BlockingSandbox, script: str) -> str:
    result = box.exec(["python3", "-c", script])
    assert result.code == 0, result.stderr.decode()
    return result.text.strip()


def test_the_kernel_is_the_machines_own(box: BlockingSandbox) -> None:
    assert _sh(box, "uname -r") != platform.release()
    assert _sh(box, "cat /proc/sys/kernel/random/boot_id") != (
        Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    )


def test_there_is_no_network_but_loopback(box: BlockingSandbox) -> None:
    assert _sh(box, "ls /sys/class/net") == "lo"
    assert re.findall(r"^\d+: (\S+):", _sh(box, "ip link"), re.MULTILINE) == ["lo"]
    assert _sh(box, "cat /proc/net/route | tail -n +2") == ""
    # TEST-NET-1 (RFC 5737): nothing would answer there even if it could be reached.
    refusal = _python(
        box,
        "import socket\ntry: socket.create_connection(('192.0.2.1', 80), 5).recv(1)\n"
        "except OSError as e: print(e.errno)",
    )
    assert int(refusal) == 104  # ECONNRESET: what leads every connection home refuses it


def test_programs_in_the_machine_can_talk_to_each_other_over_loopback(box: BlockingSandbox) -> None:
    script = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        client.sendall(b"hello")
        print(peer.recv(5).decode())
"""
    assert _python(box, script) == "hello"


def test_the_hosts_environment_is_not_there(
    box: BlockingSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKADE_TEST_SECRET", "hush")
    names = {line.partition("=")[0] for line in _sh(box, "env").splitlines()}
    assert names <= {"PATH", "HOME", "USER", "LANG", "PWD", "SHLVL", "_", "OLDPWD"}
    assert _sh(box, "tr '\\0' '\\n' </proc/self/environ | grep -c STOCKADE") == "0"


def test_the_hosts_processes_are_not_there(box: BlockingSandbox) -> None:
    """Not the host's, and of the machine's own only the workload's."""
    pids = json.loads(
        _python(
            box,
            "import os, json\n"
            "print(json.dumps([open(f'/proc/{p}/comm').read() for p in os.listdir('/proc')"
            " if p.isdigit()]))",
        )
    )
    assert pids == ["python3\n"]
    assert box.exec(["kill", "-9", "1"]).code != 0
    box.stats()  # the agent still answers


def test_the_hosts_files_are_not_there(box: BlockingSandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    assert box.exec(["cat", str(secret)]).code != 0
    mounts = _sh(box, "cut -d' ' -f1-3 /proc/mounts").splitlines()
    kinds = {line.split()[2] for line in mounts}
    assert kinds <= {"overlay", "proc", "sysfs", "tmpfs", "devpts", "erofs"}
    assert not any("9p" in line or "virtiofs" in line for line in mounts)


def test_the_workload_is_nobody_special(box: BlockingSandbox) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in _sh(box, "cat /proc/self/status").splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["1000"] * 4
    assert status["Gid"].split() == ["1000"] * 4
    assert status["Groups"].strip() == ""
    assert status["NoNewPrivs"] == "1"
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities


@pytest.mark.parametrize(
    "script",
    [
        "cat /etc/shadow",
        "mount -t tmpfs none /mnt",
        "unshare -r true",
        "unshare -n true",
        "chroot / true",
        "mknod /tmp/vda b 254 0",
        "dmesg",
        "echo 1 > /proc/sys/kernel/sysrq",
        "echo b > /proc/sysrq-trigger",
        "echo x > /sys/power/state",
        "ls /sys/fs/cgroup/workload && echo 0 > /sys/fs/cgroup/cgroup.procs",
        "cat /dev/mem",
        "cat /dev/vport*",
        "cat /dev/vd*",
        "cat /proc/kcore",
        "ls /proc/1/root/",
        "hostname other",
        "date -s 2001-01-01",
        "su -c id root </dev/null",
        "ip link set lo down",
        "insmod /lib/modules/nothing.ko",
        "echo x > /etc/passwd",
        "ls /run/lower /run/scratch",
    ],
)
def test_what_needs_privilege_fails(box: BlockingSandbox, script: str) -> None:
    assert box.exec(["sh", "-c", script]).code != 0


def test_set_user_id_programs_give_nothing(box: BlockingSandbox) -> None:
    options = _sh(box, "grep ' / ' /proc/mounts")
    assert "nosuid" in options
    assert "nodev" in options
    found = _sh(box, "find / -xdev -perm /6000 -type f 2>/dev/null | head -1")
    if found:  # an image may hold some; they must not work
        assert _sh(box, "cp /bin/id /tmp/id; chmod u+s /tmp/id; /tmp/id -u") == "1000"


def test_devices_are_the_harmless_ones(box: BlockingSandbox) -> None:
    names = set(_sh(box, "ls /dev").split())
    assert names == {
        "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    }  # fmt: skip


def test_system_calls_that_have_opened_kernels_before_are_of_no_use(box: BlockingSandbox) -> None:
    """Each must be refused, whatever the error: bpf, userfaultfd, perf_event_open, kexec_load."""
    script = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
calls = {"bpf": (321, 0, 0, 0), "perf": (298, ctypes.create_string_buffer(112), 0, -1, -1, 0),
         "kexec": (246, 0, 0, 0, 0), "init_module": (175, 0, 0, 0), "userfaultfd": (323, 0),
         "keyctl_join": (250, 1, 0), "ptrace_1": (101, 16, 1, 0, 0), "mount": (165, 0, 0, 0, 0, 0),
         "setns": (308, 0, 0), "reboot": (169, 0xfee1dead, 672274793, 0x4321fedc, 0)}
print(json.dumps([name for name, args in calls.items()
                  if name != "keyctl_join" and libc.syscall(*args) >= 0]))
"""
    assert json.loads(_python(box, script)) == []
    box.stats()  # nothing of it has ended the machine


def test_what_one_machine_leaves_another_does_not_find(box: BlockingSandbox) -> None:
    """The image is the same read-only disk for all; changes are a machine's own."""
    assert _sh(box, "mount | grep -c ' on / type overlay'") == "1"
    lower = re.search(r"lowerdir=([^,]+)", _sh(box, "grep ' / ' /proc/mounts"))
    assert lower
    assert box.exec(["ls", lower[1]]).code != 0


def test_the_machine_is_of_its_own_name_and_time(box: BlockingSandbox) -> None:
    assert _sh(box, "hostname") == f"stockade-{box.id}"
    assert _sh(box, "hostname") != os.uname().nodename
