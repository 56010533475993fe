"""What a program finds in the jail, told by a shell that is started there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stockade.model.errors import MissingToolError
from stockade.sandbox.jail import Jail

_SHELL = Path(shutil.which("dash") or "/bin/sh").resolve()
_TOOLS = Path("/usr/bin")  # shown only where a test asks for more than the shell
_ROOT = os.geteuid() == 0


def _run(
    script: str, jail: Jail | None = None, *, entrances: tuple[Path, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    read_end, write_end = os.pipe()
    try:
        return subprocess.run(
            (jail or Jail(_SHELL)).command(
                ["-c", script], entrances=list(entrances), info_fd=write_end
            ),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            pass_fds=[write_end],
            env={"SECRET": "of the host"},
            timeout=60,
            check=False,
        )
    finally:
        os.close(read_end)
        os.close(write_end)


def _say(script: str, jail: Jail | None = None) -> str:
    done = _run(script, jail)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_the_program_gets_its_arguments_and_returns_its_code() -> None:
    done = _run("echo out; exit 7")
    assert (done.returncode, done.stdout) == (7, b"out\n")


def test_it_has_no_environment() -> None:
    assert _say('echo "[$SECRET]"') == "[]\n"


def test_it_sees_libraries_and_its_program_and_no_more_of_the_host() -> None:
    seen = set(_say("cd /; echo *").split())
    assert seen <= {"bin", "dev", "lib", "lib32", "lib64", "libx32", "proc", "usr"}
    for path in ("/etc", "/home", "/tmp", "/var", "/sys", "/run", str(Path.cwd())):
        assert _run(f"test -e '{path}'").returncode == 1


def test_what_is_shown_is_read_only(tmp_path: Path) -> None:
    # Everybody may write it, so it is not the user that hinders.
    tmp_path.chmod(0o777)
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o666)
    jail = Jail(_SHELL, files={tmp_path / "file": "/machine/file", tmp_path: "/machine/folder"})
    for target in ("/machine/file", "/machine/folder/new", "/new", "/usr/lib/new"):
        done = _run(f"echo x > {target}", jail)
        assert done.returncode != 0
        assert b"Read-only" in done.stderr or b"Permission denied" in done.stderr
    assert (tmp_path / "file").read_bytes() == b""


def test_files_have_the_names_they_are_given(tmp_path: Path) -> None:
    odd = tmp_path / "new\nline"
    odd.write_text("content")
    jail = Jail(_SHELL, files={odd: "/machine/kernel"})
    assert _say("read -r x < /machine/kernel; echo $x", jail) == "content\n"
    assert _run(f"test -e '{tmp_path}'", jail).returncode == 1


def test_it_can_start_no_other_program() -> None:
    assert _run("/usr/bin/true").returncode == 127
    assert _run("/bin/sh -c true").returncode == 127


def test_it_has_no_privilege_and_can_gain_none() -> None:
    said = _say("while read -r line; do echo $line; done < /proc/self/status")
    status = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    assert status["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    uids = set(status["Uid"].split())
    if _ROOT:
        assert len(uids) == 1
        assert 0x7000_0000 <= int(uids.pop()) < 0x8000_0000
        assert int(status["CapBnd"], 16) == 0
    else:
        assert uids == {str(os.getuid())}


@pytest.mark.skipif(not _ROOT, reason="an ordinary user cannot be somebody else")
def test_two_jails_are_two_users() -> None:
    script = (
        "while read -r line; do case $line in Uid*) echo $line;; esac; done < /proc/self/status"
    )
    assert _say(script) != _say(script)


def test_it_sees_no_other_process_and_no_network() -> None:
    said = _say("cd /proc; for x in [0-9]*; do echo $x; done").split()
    assert 1 <= len(said) <= 3
    assert _say("while read -r x y; do echo $x; done < /proc/net/dev").split()[2:] == ["lo:"]


def test_it_is_in_namespaces_of_its_own() -> None:
    jail = Jail(_SHELL, folders=(_TOOLS,))
    for kind in ("mnt", "pid", "net", "ipc", "uts"):
        inside = _say(f"readlink /proc/self/ns/{kind}", jail).strip()
        assert inside != str(Path(f"/proc/self/ns/{kind}").readlink()), kind
    assert _say("uname -n", jail) == "machine\n"


def test_it_can_fill_no_disk_and_leave_no_core() -> None:
    assert _say("ulimit -c; ulimit -f; ulimit -n").split() == ["0", "0", "256"]
    # Not raised again either: these are hard limits.
    assert _run("ulimit -H -n 1024").returncode != 0


def test_a_device_that_is_granted_can_be_used() -> None:
    with_it = Jail(_SHELL, devices=(Path("/dev/zero"),))
    assert _run("test -c /dev/zero", with_it).returncode == 0
    # What bubblewrap itself puts there is harmless; the host's own are not there.
    assert _run("test -e /dev/kvm || test -e /dev/kmsg || test -e /dev/sda").returncode == 1


def test_it_enters_its_groups_before_anything_else(tmp_path: Path) -> None:
    entrances = (tmp_path / "a", tmp_path / "b c")
    done = _run("exit 0", entrances=entrances)
    assert done.returncode == 0
    assert [path.read_text() for path in entrances] == ["0\n", "0\n"]


def test_without_its_group_it_does_not_start(tmp_path: Path) -> None:
    """A machine without its limits is worse than none."""
    done = _run("echo started", entrances=(tmp_path / "no" / "cgroup.procs",))
    assert done.returncode == 125
    assert done.stdout == b""


@pytest.mark.parametrize("word", ["--", "-c", "'; exit 3; '", "$(exit 3)", "new\nline", ""])
def test_words_are_passed_on_as_they_are(word: str) -> None:
    read_end, write_end = os.pipe()
    done = subprocess.run(
        Jail(_SHELL).command(["-c", 'printf %s "$1"', "sh", word], entrances=[], info_fd=write_end),
        capture_output=True,
        pass_fds=[write_end],
        timeout=60,
        check=True,
    )
    os.close(read_end)
    os.close(write_end)
    assert done.stdout.decode() == word


@pytest.mark.parametrize("missing", ["bwrap", "setpriv"])
def test_a_missing_tool_is_named_with_its_package(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "setpriv" and not _ROOT:
        pytest.skip("only root needs it")
    for tool in {"bwrap", "setpriv"} - {missing}:
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=f"{missing} is not installed") as error:
        Jail(_SHELL).command([], entrances=[], info_fd=3)
    assert "apt install" in error.value.hint
