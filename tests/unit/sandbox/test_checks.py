from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from stockade.model.errors import StockadeError
from stockade.sandbox import checks
from stockade.sandbox.checks import Finding, Status, failed
from stockade.sandbox.kvm import refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Give a way to put a shell script first in PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def put(name: str, script: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put


# In place of bubblewrap: run the program after the first "--", past what drops root's privileges.
_OPEN_JAIL = """
while [ "$1" != -- ]; do shift; done; shift
case $1 in *setpriv) while [ "$1" != -- ]; do shift; done; shift ;; esac
exec "$@"
"""


def _qemu() -> Finding:
    return anyio.run(checks.check_qemu)


def test_the_programs_of_this_host_are_found_to_work() -> None:
    # The same programs that every functional test needs.
    assert checks.check_python().status is Status.OK
    assert checks.check_processor().status is Status.OK
    assert _qemu().status is Status.OK
    assert "seccomp" in _qemu().detail
    assert anyio.run(checks.check_jail) == Finding("bubblewrap", Status.OK, "the jail works")


def test_a_missing_qemu_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(tmp_path / "qemu"))
    assert _qemu() == Finding(
        "qemu",
        Status.FAIL,
        f"{tmp_path / 'qemu'} is not installed",
        "apt install qemu-system-x86",
    )


@pytest.mark.parametrize(
    ("script", "status", "detail"),
    [
        ("echo 'QEMU emulator version 8.2.1 (Debian)'", Status.OK, "8.2.1 with seccomp, "),
        ("echo QEMU emulator version 10.0.0", Status.OK, "10.0.0 with seccomp, "),
        ("echo QEMU emulator version 6.2.0", Status.FAIL, "6.2.0 is older than 7.2"),
        ("echo QEMU emulator version 7.1.9", Status.FAIL, "7.1.9 is older than 7.2"),
        ("echo qemu: -sandbox is not enabled; exit 1", Status.FAIL, "{} has no seccomp support"),
        ("echo hello", Status.FAIL, "{} does not start: hello"),
        ("exit 3", Status.FAIL, "{} does not start: 3"),
        (r"printf 'a\033[31mb\nc'; exit 1", Status.FAIL, "{} does not start: a [31mb c"),
    ],
)
def test_qemu_is_judged_by_what_it_says(
    tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    status: Status,
    detail: str,
) -> None:
    tool("bwrap", _OPEN_JAIL)
    program = tool("qemu", script)
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(program))
    found = _qemu()
    assert found.status is status
    assert found.detail.startswith(detail.format(program))
    assert bool(found.fix) is (status is Status.FAIL)


def test_qemu_is_asked_with_its_sandbox_on(
    tool: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool("bwrap", _OPEN_JAIL)
    script = '[ "$*" = "-sandbox on -version" ] && echo version 9.0.0'
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(tool("qemu", script)))
    assert _qemu().status is Status.OK


def test_a_jail_that_is_missing_or_does_not_work_says_so(
    tool: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tool("bwrap", "echo bwrap: no permissions >&2; exit 1")
    found = anyio.run(checks.check_jail)
    assert found == Finding(
        "bubblewrap", Status.FAIL, "the jail does not work: bwrap: no permissions"
    )
    broken.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    found = anyio.run(checks.check_jail)
    assert found == Finding(
        "bubblewrap", Status.FAIL, "bwrap is not installed", "apt install bubblewrap"
    )


def test_setpriv_is_looked_for_where_the_jail_looks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = checks.check_setpriv()
    assert (found.status, found.fix) == (Status.FAIL, "apt install util-linux")


def test_user_namespaces_are_tried(tool: Callable[[str, str], Path]) -> None:
    tool("unshare", '[ "$*" = "--user true" ]')
    assert anyio.run(checks.check_user_namespaces).status is Status.OK
    tool("unshare", "echo unshare: unshare failed: Operation not permitted >&2; exit 1")
    found = anyio.run(checks.check_user_namespaces)
    assert found.status is Status.FAIL
    assert "not permitted" in found.detail or found.fix.startswith("sudo sysctl -w ")


def test_kvm_is_not_proved_before_there_is_something_to_boot() -> None:
    async def check() -> Finding:
        return await checks.check_kvm(None, runtime_built=False, build="build it")

    found = anyio.run(check)
    assert (found.name, found.status) == ("kvm", Status.WARN)
    if reason := refusal():
        assert found.detail == reason
    else:
        assert found.fix == "build it"


def test_cgroups_are_named_when_usable_and_explained_when_not() -> None:
    found = checks.check_cgroups()
    if found.status is Status.OK:
        assert found.detail.endswith(": cpu, memory, pids")
    else:
        assert found.status is Status.WARN
        assert found.detail.endswith(": only rlimits bound QEMU itself")


@pytest.mark.parametrize("missing", [Status.WARN, Status.FAIL])
def test_a_missing_program_is_as_bad_as_the_caller_says(missing: Status) -> None:
    found = checks.check_program("no-such-program", "nothing", missing, "does something")
    assert found == Finding(
        "no-such-program",
        missing,
        "no-such-program is not installed: does something",
        "apt install nothing",
    )
    assert checks.check_program("sh", "dash", missing, "runs scripts").status is Status.OK


@pytest.mark.parametrize(
    ("hint", "detail", "fix"),
    [
        ("", "it broke", ""),
        ("Run: apt install x", "it broke", "apt install x"),
        ("Run as root: usermod y", "it broke", "usermod y"),
        ("Set HOME.", "it broke. Set HOME.", ""),
    ],
)
def test_an_error_becomes_a_finding_with_its_command(hint: str, detail: str, fix: str) -> None:
    error = StockadeError("it broke", hint=hint)
    assert failed("thing", error, Status.WARN) == Finding("thing", Status.WARN, detail, fix)
