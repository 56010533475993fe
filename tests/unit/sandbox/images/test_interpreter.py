from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from stockade.model.errors import ImageError
from stockade.sandbox.images.interpreter import PYTHON, compile_all, trim

_LIBRARY = Path("usr/lib/python3.11")
_LINKER = Path("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")


@pytest.fixture(scope="module")
def unpacked(kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what Debian's packages would: the kit's own tree, with things that nobody needs."""
    unpacked = tmp_path_factory.mktemp("packages") / "unpacked"
    shutil.copytree(kit / "tree", unpacked, symlinks=True)
    library = unpacked / _LIBRARY
    (library / "unittest").mkdir()
    (library / "unittest" / "case.py").write_text("import nowhere\n")
    (library / "__pycache__" / "stale.cpython-311.pyc").write_bytes(b"stale")
    (library / "lib-dynload" / "_ssl.cpython-311-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")
    (unpacked / "usr" / "bin" / "perl").write_bytes(b"\x7fELF")
    (unpacked / "lib" / "x86_64-linux-gnu" / "libunneeded.so.1").write_bytes(b"\x7fELF")
    return unpacked


@pytest.fixture(scope="module")
def trimmed(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("trimmed") / "tree"
    anyio.run(trim, unpacked, tree)
    return tree


@pytest.fixture
def python(trimmed: Path) -> Callable[[str], str]:
    """Give a way to run code with the trimmed interpreter and nothing of the host's."""
    libraries = ":".join(
        str(trimmed / folder) for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
    )

    linker = [str(trimmed / _LINKER), "--inhibit-cache", "--library-path", libraries]

    def run(code: str) -> str:
        argv = [*linker, str(trimmed / PYTHON), "-I", "-S", "-c", code]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    return run


def _files(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*")}


def test_it_holds_what_the_agent_needs_and_no_more(trimmed: Path) -> None:
    found = _files(trimmed)
    assert {"proc", "sys", "dev", "run", "tmp", "mnt", "etc", PYTHON} <= found
    for name in ("unittest", "__pycache__/stale", "lib-dynload/_ssl", "bin/perl", "libunneeded"):
        assert not [path for path in found if name in path]


def test_it_has_every_library_it_is_linked_with(
    trimmed: Path, python: Callable[[str], str]
) -> None:
    code = """
import importlib, os
names = os.listdir(os.path.dirname(os.__file__) + "/lib-dynload")
for name in names:
    importlib.import_module(name.partition(".")[0])
print(len(names))
"""
    assert int(python(code)) == len(list((trimmed / _LIBRARY / "lib-dynload").iterdir())) > 10


def test_what_the_agent_imports_is_there(python: Callable[[str], str]) -> None:
    code = "import ctypes, hashlib, json, os, pty, select, socket, struct; print(os.__file__)"
    assert python(code).endswith(f"{_LIBRARY}/os.py\n")


def test_it_starts_by_the_name_that_is_compiled_into_programs(trimmed: Path) -> None:
    assert (trimmed / "lib64" / _LINKER.name).readlink() == Path("/") / _LINKER


def test_trimming_what_is_trimmed_changes_nothing(kit: Path, trimmed: Path) -> None:
    assert _files(trimmed) == _files(kit / "tree")
    different = [
        name
        for name in _files(trimmed)
        if (trimmed / name).is_file()
        and not (trimmed / name).is_symlink()
        and (trimmed / name).read_bytes() != (kit / "tree" / name).read_bytes()
    ]
    assert different == []


def test_compiled_modules_never_ask_for_the_time_of_their_source(trimmed: Path) -> None:
    for path in (trimmed / _LIBRARY / "__pycache__").glob("*.pyc"):
        # PEP 552: a hash-based file that is not checked.
        assert struct.unpack("<I", path.read_bytes()[4:8])[0] == 0b01


@pytest.fixture
def package(trimmed: Path, tmp_path: Path) -> Path:
    """Give the interpreter with an empty package beside it."""
    tree = tmp_path / "tree"
    shutil.copytree(trimmed, tree, symlinks=True)
    (tree / "opt" / "agent").mkdir(parents=True)
    return tree


def test_compiled_code_names_files_as_the_guest_sees_them(package: Path) -> None:
    (package / "opt" / "agent" / "module.py").write_text("def f(): raise ValueError\n")
    anyio.run(compile_all, package, "opt/agent")
    (compiled,) = (package / "opt" / "agent" / "__pycache__").iterdir()
    assert compiled.name == "module.cpython-311.pyc"
    assert b"/opt/agent/module.py" in compiled.read_bytes()
    assert str(package).encode() not in compiled.read_bytes()


def test_the_same_source_gives_the_same_bytes(package: Path) -> None:
    source = package / "opt" / "agent" / "module.py"
    source.write_text(f"def f(x):\n    return x in {{{', '.join(map(repr, 'abcdefgh'))}}}\n")
    compiled = set()
    for _ in range(3):
        anyio.run(compile_all, package, "opt/agent")
        compiled.add(next((source.parent / "__pycache__").iterdir()).read_bytes())
    assert len(compiled) == 1


def test_code_that_cannot_be_compiled_is_told(package: Path) -> None:
    (package / "opt" / "agent" / "module.py").write_text("def f(:\n")
    with pytest.raises(ImageError, match=r"^cannot compile the agent: ld-linux-x86-64\.so\.2: "):
        anyio.run(compile_all, package, "opt/agent")
