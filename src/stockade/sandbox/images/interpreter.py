"""Cut Debian's Python down to what the agent needs: a bare standard library and its libraries.

The agent must run in any image, so it brings its interpreter, dynamic linker and C library along.
TLS, databases and terminal libraries stay out: the agent has no network and no use for them, and
``hashlib`` falls back to the implementations that are built in.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from anyio import to_thread

from stockade.sandbox.images.programs import check, clean_env

PYTHON = "usr/bin/python3.11"
_LIBRARY = "usr/lib/python3.11"
_LINKER = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
_LIBRARY_PATH = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")

_UNNEEDED = (
    "test", "idlelib", "lib2to3", "ensurepip", "distutils", "tkinter", "turtledemo", "pydoc_data",
    "venv", "unittest", "curses", "dbm", "sqlite3", "wsgiref", "xmlrpc", "msilib",
    "sitecustomize.py",
)  # fmt: skip
_UNNEEDED_EXTENSIONS = (
    "_test*", "_xx*", "xxlimited*", "_ctypes_test*", "_codecs_*", "_crypt.*", "_curses*", "_dbm.*",
    "_hashlib.*", "_lsprof.*", "_multibytecodec.*", "_sqlite3.*", "_ssl.*", "audioop.*", "nis.*",
    "ossaudiodev.*", "readline.*",
)  # fmt: skip
_MOUNT_POINTS = ("proc", "sys", "dev", "run", "tmp", "mnt", "etc")


async def trim(unpacked: Path, tree: Path) -> None:
    """Make ``tree`` a root in which the agent's interpreter runs, from unpacked packages."""
    await to_thread.run_sync(_copy_library, unpacked, tree)
    await _copy_linked(unpacked, tree)
    await compile_all(tree, _LIBRARY)


async def compile_all(tree: Path, directory: str) -> None:
    """Compile all modules under a directory of ``tree``, with the interpreter that is in it.

    Unchecked: the guest never looks at the source, so no file time can make a .pyc stale. It works
    without root and whatever Python the host has, as the tree's own linker starts it.
    """
    argv: list[str | bytes | Path] = [
        *(tree / _LINKER, "--library-path", _search_path(tree), tree / PYTHON, "-I"),
        *("-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"),
        *("-s", tree, "-p", "/", tree / directory),
    ]
    await check(
        argv,
        package="libc-bin",
        doing="compile the agent",
        # Constant sets are stored in hash order.
        env=clean_env(PYTHONHASHSEED="0"),
    )


def _copy_library(unpacked: Path, tree: Path) -> None:
    for name in _MOUNT_POINTS:
        (tree / name).mkdir(parents=True)
    shutil.copytree(
        unpacked / _LIBRARY,
        tree / _LIBRARY,
        symlinks=True,
        ignore=shutil.ignore_patterns("__pycache__", *_UNNEEDED, *_UNNEEDED_EXTENSIONS),
    )
    (tree / PYTHON).parent.mkdir(parents=True)
    shutil.copy2(unpacked / PYTHON, tree / PYTHON)
    for name in (_LINKER, "lib64/ld-linux-x86-64.so.2"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(unpacked / _LINKER, tree / _LINKER)
    (tree / "lib64/ld-linux-x86-64.so.2").symlink_to(f"/{_LINKER}")


async def _copy_linked(unpacked: Path, tree: Path) -> None:
    """Copy the shared libraries that the interpreter and its extensions are linked with."""
    extensions = sorted((tree / _LIBRARY / "lib-dynload").glob("*.so"))
    needed: set[Path] = set()
    for binary in [tree / PYTHON, *extensions]:
        finished = await check(
            [
                unpacked / _LINKER, "--inhibit-cache", "--library-path", _search_path(unpacked),
                "--list", binary,
            ],
            package="libc-bin",
            doing="find the interpreter's libraries",
        )  # fmt: skip
        needed.update(_listed(finished.stdout.decode(), unpacked))
    for library in sorted(needed):
        target = tree / library.relative_to(unpacked)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Follows the symlink to the versioned file: the name that is linked with is all it needs.
        shutil.copy2(library, target)


def _listed(text: str, unpacked: Path) -> list[Path]:
    """Read the linker's ``--list``: ``libffi.so.8 => /path/libffi.so.8 (0x...)``."""
    found = []
    for line in text.splitlines():
        _, arrow, rest = line.partition(" => ")
        path = Path(rest.rpartition(" (")[0])
        if arrow and path.is_relative_to(unpacked):
            found.append(path)
    return found


def _search_path(root: Path) -> str:
    return ":".join(str(root / directory) for directory in _LIBRARY_PATH)
