"""Changed pages of real processes that map a file as a hypervisor maps its template."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import subprocess
import sys
from array import array
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.sandbox.conftest import open_descriptors

from stockade.model.errors import MachineError
from stockade.sandbox.ram import Pages, changed_pages, put_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = mmap.PAGESIZE
_COUNT = 64
MEMORY = _COUNT * _PAGE

# Does what is asked line by line: maps the file anew, fills pages, reads pages, tells all it sees.
_PROGRAM = """
import hashlib, json, mmap, sys
file = open(sys.argv[1], "r+b")
size = int(sys.argv[2])
def fresh():
    return mmap.mmap(file.fileno(), size, flags=mmap.MAP_PRIVATE)
ram = fresh()
for line in sys.stdin:
    order, what = json.loads(line)
    if order == "reset":
        ram.close()
        ram = fresh()
    elif order == "write":
        for page, byte in what:
            ram[page * mmap.PAGESIZE + 7] = byte
    elif order == "read":
        for page in what:
            ram[page * mmap.PAGESIZE]
    print(json.dumps(hashlib.sha256(ram).hexdigest() if order == "digest" else None), flush=True)
"""


class MappingProcess:
    """One that stands in for a hypervisor; its memory is real."""

    def __init__(self, ram: Path, size: int = MEMORY) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(ram), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid
        self.do("read", [0])  # it has mapped the file

    def do(self, order: str, what: object = None) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([order, what]).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


@contextmanager
def _processes(ram: Path, count: int) -> Iterator[list[MappingProcess]]:
    started = [MappingProcess(ram) for _ in range(count)]
    try:
        yield started
    finally:
        for process in started:
            process.end()


@pytest.fixture(scope="module")
def ram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a template's file: data, and holes."""
    path = tmp_path_factory.mktemp("template") / "machine" / "ram"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(MEMORY)
        file.write(os.urandom(MEMORY // 2))
    return path


@pytest.fixture(scope="module")
def pair(ram: Path) -> Iterator[tuple[MappingProcess, MappingProcess]]:
    with _processes(ram, 2) as (one, other):
        yield one, other


def _all(pages: Pages) -> dict[int, bytes]:
    """Every page by its number."""
    content = os.pread(pages.fd, pages.size + 1, 0)
    assert len(content) == pages.size
    numbers = [
        number
        for first, count in zip(pages.runs[::2], pages.runs[1::2], strict=True)
        for number in range(first, first + count)
    ]
    return {
        number: content[place * _PAGE : (place + 1) * _PAGE] for place, number in enumerate(numbers)
    }


@given(
    written=st.lists(st.tuples(st.integers(0, _COUNT - 1), st.integers(0, 255)), max_size=40),
    read=st.lists(st.integers(0, _COUNT - 1), max_size=40),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_exactly_what_was_written_comes_back_and_goes_into_another(
    ram: Path,
    pair: tuple[MappingProcess, MappingProcess],
    written: list[tuple[int, int]],
    read: list[int],
) -> None:
    one, other = pair
    for process in pair:
        process.do("reset")
    one.do("read", read)
    one.do("write", written)
    pages = changed_pages(one.pid, MEMORY)
    try:
        template = ram.read_bytes()
        wanted: dict[int, bytearray] = {}
        for page, byte in written:
            page_now = wanted.setdefault(
                page, bytearray(template[page * _PAGE : (page + 1) * _PAGE])
            )
            page_now[7] = byte
        assert _all(pages) == wanted
        # Runs are whole: none touches the next.
        ends = [a + b for a, b in zip(pages.runs[::2], pages.runs[1::2], strict=True)]
        assert all(end < begin for end, begin in zip(ends, pages.runs[2::2], strict=False))

        put_pages(pages, other.pid, MEMORY)
        assert other.do("digest") == one.do("digest")
        assert ram.read_bytes() == template
        # The copy's changed pages are the same ones, so a copy of a copy is as small.
        again = changed_pages(other.pid, MEMORY)
        assert again.runs == pages.runs
        again.close()
    finally:
        pages.close()


def test_a_machine_that_wrote_nothing_has_no_pages(
    ram: Path, pair: tuple[MappingProcess, ...]
) -> None:
    for process in pair:
        process.do("reset")
    pages = changed_pages(pair[0].pid, MEMORY)
    assert (list(pages.runs), pages.size) == ([], 0)
    put_pages(pages, pair[1].pid, MEMORY)
    assert pair[1].do("digest") == hashlib.sha256(ram.read_bytes()).hexdigest()
    pages.close()


def test_all_pages_are_one_run(pair: tuple[MappingProcess, ...]) -> None:
    pair[0].do("write", [[number, 1] for number in range(_COUNT)])
    pages = changed_pages(pair[0].pid, MEMORY)
    assert list(pages.runs) == [0, _COUNT]
    assert pages.size == MEMORY
    pages.close()


@pytest.mark.parametrize(
    "runs", [[_COUNT, 1], [_COUNT - 1, 2], [0, _COUNT + 1], [1 << 60, 1], [0, 1, 1 << 40, 1]]
)
def test_pages_of_a_larger_machine_are_refused_and_nothing_is_written(
    pair: tuple[MappingProcess, ...], runs: list[int]
) -> None:
    pair[1].do("reset")
    before = pair[1].do("digest")
    pages = Pages(array("Q", runs), os.memfd_create("pages"))
    os.truncate(pages.fd, (_COUNT + 2) * _PAGE)
    with pytest.raises(MachineError, match="not of a machine of this size"):
        put_pages(pages, pair[1].pid, MEMORY)
    pages.close()
    assert pair[1].do("digest") == before


@pytest.mark.parametrize("other", ["size", "process", "gone"])
def test_what_is_no_machine_is_one_machine_error_and_leaves_nothing_open(
    ram: Path, pair: tuple[MappingProcess, ...], other: str
) -> None:
    pid, memory = pair[0].pid, MEMORY
    if other == "size":
        memory = 2 * MEMORY
    elif other == "process":
        pid = os.getpid()
    else:
        process = MappingProcess(ram)
        pid = process.pid
        process.end()
    before = open_descriptors()
    with pytest.raises(MachineError, match=r"has not mapped|is gone"):
        changed_pages(pid, memory)
    with pytest.raises(MachineError, match=r"has not mapped|is gone"):
        put_pages(Pages(array("Q"), -1), pid, memory) if other != "gone" else changed_pages(
            pid, memory
        )
    assert open_descriptors() <= before
