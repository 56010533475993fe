"""Where a hypervisor's memory is: its mappings on the host, by what they are for.

From ``/proc/PID/smaps`` (proc_pid_smaps(5)), in MiB. Private is what one process alone holds now;
a page of a file that only one process has mapped counts as private until a second one maps it.
"""

from __future__ import annotations

import re
from pathlib import Path

from stockade.sandbox.ram import RAM_NAME

NAMES = (
    *("rss", "pss", "private", "shared", "guest_ram", "guest_ram_shared"),
    *("translated_code", "qemu_heap", "programs"),
)

_MIB = 1024  # in the file's unit, KiB
_HEAD = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ \d+ *(.*)$", re.MULTILINE)
_FIELD = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)
# MiB. RAM without a file, as a machine that boots has it, is the one larger writable mapping.
_RAM = 256.0


def parts(pid: int) -> dict[str, float]:
    """What ``pid`` has resident: in all, and private memory split by what it is for.

    ``guest_ram`` is pages of the machine's RAM that it has written, ``translated_code`` the guest's
    programs as QEMU has translated them, ``qemu_heap`` all else that it has allocated (a copy's
    thread stacks, tables and firmware among it), ``programs`` what the dynamic linker has written
    to in QEMU and its libraries.
    """
    smaps = Path(f"/proc/{pid}/smaps").read_text("utf-8", errors="replace")
    found = dict.fromkeys(NAMES, 0.0)
    heads = list(_HEAD.finditer(smaps))
    assert heads, f"process {pid} has ended"
    ends = [head.start() for head in heads[1:]] + [len(smaps)]
    for head, end in zip(heads, ends, strict=True):
        fields = {name: int(size) / _MIB for name, size in _FIELD.findall(smaps[head.end() : end])}
        private = fields["Private_Clean"] + fields["Private_Dirty"]
        shared = fields["Shared_Clean"] + fields["Shared_Dirty"]
        found["rss"] += fields["Rss"]
        found["pss"] += fields["Pss"]
        found["private"] += private
        found["shared"] += shared
        kind = _kind(head[1], head[2], fields["Size"])
        found[kind] += private
        if kind == "guest_ram":
            found["guest_ram_shared"] += shared
    return found


def _kind(permissions: str, path: str, size: float) -> str:
    if path.removesuffix(" (deleted)").endswith(RAM_NAME):
        return "guest_ram"
    if "x" in permissions and not path:
        return "translated_code"
    if path and path != "[heap]":
        return "programs"
    return "guest_ram" if size > _RAM else "qemu_heap"
