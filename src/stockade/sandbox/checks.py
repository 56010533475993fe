"""Checks of what a machine runs by, for ``doctor``: each finds out by trying, not by asking.

A check never raises what the host is to blame for; that is its finding. Nothing is installed or
built.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from stockade.model.errors import MissingToolError, StockadeError
from stockade.sandbox import cgroups
from stockade.sandbox.backends import qemu_microvm
from stockade.sandbox.images.programs import find_program
from stockade.sandbox.jail import Jail
from stockade.sandbox.kvm import kvm_verdict, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.sandbox.images.progress import Progress

_PATIENCE = 10.0  # seconds for a program that only has to say something
_OLDEST_QEMU = (7, 2)
# Only a group without processes of its own can hand controllers down, hence the step into "me".
_DELEGATE = (
    "systemd-run --user --scope --property=Delegate=yes sh -c '"
    'g=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); mkdir "$g/me"; '
    'echo $$ >"$g/me/cgroup.procs"; exec stockade run -- true\''
)
# Where distributions switch user namespaces off: the setting, its value then, and the one to set.
_NAMESPACE_SWITCHES = (
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "10000"),
)


class Status(StrEnum):
    """``fail`` keeps the microvm wall from being used; ``warn`` takes something from it."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """The result of one check: one line of ``detail``, and a command that repairs it, or ""."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def check_python() -> Finding:
    """The interpreter, which would not have come this far if it were too old."""
    return Finding("python", Status.OK, f"{platform.python_version()}, {sys.executable}")


def check_processor() -> Finding:
    """The architecture, which the guest's kernel and programs share."""
    machine = platform.machine()
    if machine != "x86_64":
        return Finding("processor", Status.FAIL, f"{machine}: this version needs x86_64")
    return Finding("processor", Status.OK, machine)


async def check_qemu() -> Finding:
    """Start QEMU in the jail of the machines, but only to say its version."""
    name, install = "qemu", f"apt install {qemu_microvm.PACKAGE}"
    try:
        program = qemu_microvm.find_program()
        # Options are taken from left to right: without seccomp the first is the end.
        said, code = await _run_jailed(Jail(program), ["-sandbox", "on", "-version"])
    except StockadeError as error:
        return failed(name, error)
    version = re.search(r"version ((\d+)\.(\d+)\S*)", said)
    if code != 0 and "sandbox" in said:
        return Finding(name, Status.FAIL, f"{program} has no seccomp support", install)
    if code != 0 or version is None:
        return Finding(
            name, Status.FAIL, f"{program} does not start: {said[:200] or code}", install
        )
    if (int(version[2]), int(version[3])) < _OLDEST_QEMU:
        return Finding(name, Status.FAIL, f"{version[1]} is older than 7.2", install)
    return Finding(name, Status.OK, f"{version[1]} with seccomp, {program}")


async def check_jail() -> Finding:
    """Run a program in the very jail of the machines."""
    name, program = "bubblewrap", Path(shutil.which("true") or "/bin/true")
    try:
        said, code = await _run_jailed(Jail(program), [])
    except StockadeError as error:
        return failed(name, error)
    if code != 0:
        return Finding(name, Status.FAIL, f"the jail does not work: {said[:200] or code}")
    return Finding(name, Status.OK, "the jail works")


def check_setpriv() -> Finding:
    """Root's jail needs it."""
    path = shutil.which("setpriv")
    if path is None:
        return Finding("setpriv", Status.FAIL, "setpriv is not installed", "apt install util-linux")
    return Finding("setpriv", Status.OK, path)


async def check_user_namespaces() -> Finding:
    """An ordinary user's jail needs them; distributions switch them off in different ways."""
    name = "user namespaces"
    try:
        unshare = find_program("unshare", package="util-linux")
    except MissingToolError as error:
        return failed(name, error)
    said, code = await _say([unshare, "--user", "true"])
    if code == 0:
        return Finding(name, Status.OK, "this user may make them")
    for setting, off, on in _NAMESPACE_SWITCHES:
        if _setting(setting) == off:
            fix = f"sudo sysctl -w {setting}={on}"
            return Finding(name, Status.FAIL, f"{setting} is {off}", fix)
    return Finding(name, Status.FAIL, f"this user may not make them: {said[:200]}")


async def check_kvm(progress: Progress | None, *, runtime_built: bool, build: str) -> Finding:
    """Prove KVM anew; ``build`` is the command that builds what a proof needs."""
    name = "kvm"
    if reason := refusal():
        group = re.search(r"by the group (\S+) only", reason)
        fix = f'sudo usermod --append --groups {group[1]} "$USER"' if group else ""
        return Finding(name, Status.WARN, reason, fix)
    if not runtime_built:
        return Finding(name, Status.WARN, "cannot be tried before the runtime is built", build)
    try:
        verdict = await kvm_verdict(progress, again=True)
    except StockadeError as error:
        return failed(name, error, Status.WARN)
    return Finding(name, Status.OK if verdict.usable else Status.WARN, verdict.reason)


def check_cgroups() -> Finding:
    """Look for controllers that this user can limit a machine's processes by."""
    name, found = "cgroups", cgroups.find_hierarchy()
    if not found.missing:
        usable = ", ".join(sorted(found.parents))
        return Finding(name, Status.OK, f"version {found.version}: {usable}")
    return Finding(
        name,
        Status.WARN,
        f"no {', '.join(found.missing)} for this user: only rlimits bound QEMU itself",
        _DELEGATE if os.geteuid() != 0 and Path("/run/systemd/system").is_dir() else "",
    )


def check_program(name: str, package: str, missing: Status, purpose: str) -> Finding:
    """Look for a program; ``missing`` is how bad it is not to have it."""
    try:
        path = find_program(name, package=package)
    except MissingToolError as error:
        return Finding(name, missing, f"{error}: {purpose}", f"apt install {package}")
    return Finding(name, Status.OK, path)


def failed(name: str, error: StockadeError, status: Status = Status.FAIL) -> Finding:
    """The finding of a check that ended in an error; a command in its hint becomes the fix."""
    fix = error.hint.removeprefix("Run as root: ").removeprefix("Run: ")
    if fix == error.hint:
        hint = f". {error.hint}" if error.hint else ""
        return Finding(name, status, f"{error}{hint}")
    return Finding(name, status, str(error), fix)


async def _run_jailed(jail: Jail, arguments: list[str]) -> tuple[str, int]:
    """Run the jail's program to its end; return what it said, in one line, and its exit status."""
    info_read, info_write = os.pipe()
    try:
        command = jail.command(arguments, entrances=[], info_fd=info_write)
        return await _say(command, pass_fds=[info_write])
    finally:
        os.close(info_read)
        os.close(info_write)


async def _say(command: list[str], pass_fds: Sequence[int] = ()) -> tuple[str, int]:
    with anyio.move_on_after(_PATIENCE):
        done = await anyio.run_process(
            command, check=False, stderr=subprocess.STDOUT, pass_fds=pass_fds, env={}
        )
        said = done.stdout.decode(errors="replace")
        printable = "".join(c if c.isprintable() else " " for c in said)
        return " ".join(printable.split()), done.returncode
    return f"no end after {_PATIENCE:g} s", -1


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name.replace(".", "/")).read_text("ascii").strip()
    except OSError:
        return ""
