"""The pages of RAM that a copied machine has changed: read from it, and put into another one.

A copy maps its template's file privately: a page that was written is an anonymous page of the
hypervisor's process, and the kernel tells which those are
(``Documentation/admin-guide/mm/pagemap.rst`` in its source). Both machines are stopped meanwhile.
"""

from __future__ import annotations

import mmap
import os
import re
from array import array
from dataclasses import dataclass
from pathlib import Path

from stockade.model.errors import MachineError

RAM_NAME = "/ram"
"""How the path of the file ends that is a machine's RAM, as the kernel shows it."""

_PAGE = mmap.PAGESIZE
_ENTRY = 8  # bytes of /proc/PID/pagemap for each page
# Of an entry's highest byte: present or swapped (bits 63, 62), and no page of a file (bit 61).
_OWN = re.compile(rb"[\x40-\x5f\x80-\x9f\xc0-\xdf]+")


@dataclass(frozen=True)
class Pages:
    """Changed pages. ``runs`` has a first page and a count for each run; ``fd`` holds their bytes.

    The descriptor is its owner's to close.
    """

    runs: array[int]
    fd: int

    @property
    def size(self) -> int:
        """Bytes of all pages."""
        return sum(self.runs[1::2]) * _PAGE

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)


def changed_pages(pid: int, memory: int) -> Pages:
    """Copy the pages that the machine of the stopped hypervisor ``pid`` has as its own."""
    start = _find(pid, memory)
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as file:
        entries = os.pread(file.fileno(), memory // _PAGE * _ENTRY, start // _PAGE * _ENTRY)
    runs = array("Q")
    for found in _OWN.finditer(entries[_ENTRY - 1 :: _ENTRY]):
        runs.extend((found.start(), found.end() - found.start()))
    fd = os.memfd_create("pages", os.MFD_CLOEXEC)
    pages = Pages(runs, fd)
    try:
        os.truncate(fd, pages.size)
        _transfer(pages, start, f"/proc/{pid}/mem", writing=False)
    except BaseException:
        os.close(fd)
        raise
    return pages


def put_pages(pages: Pages, pid: int, memory: int) -> None:
    """Give the machine of the stopped hypervisor ``pid`` these pages in place of its template's."""
    if pages.runs and max(map(sum, zip(pages.runs[::2], pages.runs[1::2], strict=True))) > (
        memory // _PAGE
    ):
        raise MachineError("the saved pages are not of a machine of this size")
    _transfer(pages, _find(pid, memory), f"/proc/{pid}/mem", writing=True)


def _transfer(pages: Pages, start: int, path: str, *, writing: bool) -> None:
    if not pages.runs:
        return
    move = os.pwritev if writing else os.preadv
    access = mmap.ACCESS_READ if writing else mmap.ACCESS_WRITE
    try:
        with (
            mmap.mmap(pages.fd, pages.size, access=access) as held,
            memoryview(held) as view,
            Path(path).open("r+b" if writing else "rb", buffering=0) as file,
        ):
            place = 0
            for first, count in zip(pages.runs[::2], pages.runs[1::2], strict=True):
                size = count * _PAGE
                with view[place : place + size] as part:
                    if move(file.fileno(), [part], start + first * _PAGE) != size:
                        raise MachineError("the hypervisor's memory has changed meanwhile")
                place += size
    except OSError as error:
        raise MachineError(f"cannot reach the hypervisor's memory: {error.strerror}") from None


def _find(pid: int, memory: int) -> int:
    """Where the hypervisor has mapped the machine's RAM."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise MachineError(f"the hypervisor is gone: {error.strerror}") from None
    for line in maps.splitlines():
        # The template may have been removed meanwhile; its file lives as long as it is mapped.
        if line.removesuffix(" (deleted)").endswith(RAM_NAME):
            start, _, end = line.split(maxsplit=1)[0].partition("-")
            if int(end, 16) - int(start, 16) == memory:
                return int(start, 16)
    raise MachineError("the hypervisor has not mapped the machine's memory")
