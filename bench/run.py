"""How long the whole ``stockade run -- true`` takes, beside what it cannot do without.

The floors: starting a program at all, Python with the modules of ``run``, a program in the very
jail of the machines, QEMU up to its version, and QEMU in the jail with the machine of a run but
nothing to boot: its firmware is one instruction that ends it. Beside them the command line's own
start: ``stockade --version``, ``stockade ps``, and a run that is refused when all is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.sandbox.backends.qemu_microvm import find_program
from stockade.sandbox.jail import Jail

if TYPE_CHECKING:
    from bench._measure import in_turns, options, ratio, report, summaries
else:
    from _measure import in_turns, options, ratio, report, summaries

_PYTHON = sys.executable
_STOCKADE = Path(_PYTHON).with_name("stockade")
_IMPORTS = "import stockade.cli.running"
_REFUSED = ["run", "--image", "none", "--", "true"]  # there is no such image
_EXIT_PORT = 0xF4  # where isa-debug-exit listens unless told otherwise
_FIRMWARE = "/machine/firmware"
_BARE = [
    *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
    *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
    *("-machine", "microvm,acpi=on,pit=on,rtc=on,isa-serial=on,x-option-roms=off"),
    *("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "1", "-m", "1152M"),
    *("-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x}", "-bios", _FIRMWARE),
]


def main() -> None:
    arguments = options(__doc__.splitlines()[0], runs=5).parse_args()
    qemu = find_program()
    with tempfile.NamedTemporaryFile() as firmware:
        firmware.write(_firmware())
        firmware.flush()
        Path(firmware.name).chmod(0o644)
        bare = Jail(
            qemu,
            folders=(Path("/usr/share/qemu"), Path("/usr/share/seabios")),
            files={Path(firmware.name): _FIRMWARE},
        )
        times = in_turns(
            arguments.runs,
            {
                "stockade_run_true": lambda: _run([_STOCKADE, "run", "--", "true"]),
                "fork_exec_true": lambda: _run(["/bin/true"]),
                "python_start": lambda: _run([_PYTHON, "-c", "pass"]),
                "python_imports_of_run": lambda: _run([_PYTHON, "-c", _IMPORTS]),
                "stockade_version": lambda: _run([_STOCKADE, "--version"]),
                "stockade_ps": lambda: _run([_STOCKADE, "ps"]),
                "stockade_run_refused": lambda: _run([_STOCKADE, *_REFUSED], code=125),
                "jail_true": lambda: _jailed(Jail(Path("/bin/true")), [], code=0),
                "qemu_version": lambda: _run([qemu, "--version"]),
                # isa-debug-exit makes exit code 2n+1 of the byte n it is given.
                "qemu_bare_machine": lambda: _jailed(bare, _BARE, code=1),
            },
        )
    whole = times["stockade_run_true"]
    report(
        "run",
        "ms",
        {
            **summaries(times),
            "times_the_floor": {
                name: ratio(whole, values)
                for name, values in times.items()
                if name != "stockade_run_true"
            },
        },
    )


def _run(command: list[str | Path], *, code: int = 0) -> None:
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


if __name__ == "__main__":
    main()
