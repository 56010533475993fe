"""What no start of a machine can be quicker than: the least that its parts cost by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.sandbox.backends.qemu_microvm import find_program
from stockade.sandbox.jail import Jail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PYTHON = sys.executable
_EXIT_PORT = 0xF4  # where isa-debug-exit listens unless told otherwise
_FIRMWARE = "/machine/firmware"
_BARE = [
    *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
    *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
    *("-machine", "microvm,acpi=on,pit=on,rtc=on,isa-serial=on,x-option-roms=off"),
    *("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "1", "-m", "1152M"),
    *("-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x}", "-bios", _FIRMWARE),
]
_UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts"]


@contextmanager
def floors() -> Iterator[dict[str, Callable[[], None]]]:
    """By name, what is to be timed: each blocks until its process has ended."""
    with tempfile.NamedTemporaryFile() as firmware:
        firmware.write(_firmware())
        firmware.flush()
        Path(firmware.name).chmod(0o644)
        bare = Jail(
            find_program(),
            folders=(Path("/usr/share/qemu"), Path("/usr/share/seabios")),
            files={Path(firmware.name): _FIRMWARE},
        )
        user = ["--user"] if os.geteuid() else []
        yield {
            "fork_exec_true": lambda: run(["/bin/true"]),
            "unshare_true": lambda: run([*_UNSHARE, *user, "/bin/true"]),
            "jail_true": lambda: _jailed(Jail(Path("/bin/true")), [], code=0),
            "python_start": lambda: run([PYTHON, "-c", "pass"]),
            # isa-debug-exit makes exit code 2n+1 of the byte n it is given.
            "qemu_bare_machine": lambda: _jailed(bare, _BARE, code=1),
        }


def run(command: list[str | Path], *, code: int = 0) -> None:
    """Run a program to its end, which must be with ``code``."""
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == code, done


def _jailed(jail: Jail, arguments: list[str], *, code: int) -> None:
    info_read, info_write = os.pipe()
    command = jail.command(arguments, entrances=[], info_fd=info_write)
    done = subprocess.run(command, check=False, capture_output=True, pass_fds=[info_write], env={})
    os.close(info_read)
    os.close(info_write)
    assert done.returncode == code, done


def _firmware() -> bytes:
    """64 KiB of which the processor's first instructions, 16 bytes before the end, are used."""
    start = bytes([0x30, 0xC0, 0xE6, _EXIT_PORT, 0xF4])  # xor al, al; out 0xf4, al; hlt
    return bytes((1 << 16) - 16) + start.ljust(16, b"\0")
