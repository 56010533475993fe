"""The shape of the source: small modules that say what they are, each with a test of its own."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

_SOURCE = Path("src/stockade")
_TESTS = Path("tests")
_UNIT = Path("tests/unit")

# A file that grows past this is usually two. Tests hold tables of cases, so they may be longer.
_MOST_LINES = 400
_MOST_LINES_OF_TESTS = 500

# Modules without a file in tests/unit, and what tests them instead.
_TESTED_ELSEWHERE: dict[str, str] = {
    # These run as process 1 of a machine: mounts, namespaces, credentials. On a developer's host
    # they would do harm or nothing, so tests/functional runs them where they belong.
    "guest/main.py": "every functional test starts here",
    "guest/machine.py": "mounts and devices of a fresh machine",
    "guest/rootfs.py": "mounts the workload's tree",
    "guest/disks.py": "binds and releases drivers of a machine's disks",
    "guest/cgroups.py": "needs a cgroup tree of its own",
    "guest/trust.py": "mounts files into the workload's tree",
    "guest/linux.py": "raw system calls, used by those above",
    # Namespaces, hosts and authorities of an internet: tests/functional has it run as it is.
    "selftest/internet.py": "test_selftest and test_network run in it",
    "selftest/hosts.py": "test_selftest and test_network speak to them",
    # Only data.
    "selftest/corpus/places.py": "data; corpus/test_corpus looks at all attempts",
    "selftest/corpus/lookups.py": "data; corpus/test_corpus looks at all attempts",
    "selftest/corpus/requests.py": "data; corpus/test_corpus looks at all attempts",
    "selftest/corpus/paths.py": "data; corpus/test_corpus looks at all attempts",
    # Only types: nothing runs.
    "egress/courier/errand.py": "protocol and plain values; the courier's tests use them",
    "tools/base.py": "protocols and plain values; each tool's test uses them",
    "sandbox/backends/base.py": "protocol; each backend's test checks it",
    "sandbox/images/sources/base.py": "protocol; each source's test checks it",
}


def _sources(texts: dict[Path, str]) -> dict[Path, str]:
    return {
        path.relative_to(_SOURCE): text
        for path, text in texts.items()
        if path.is_relative_to(_SOURCE) and path.suffix == ".py"
    }


def _does_nothing(text: str) -> bool:
    """Tell whether a module has no statement but its docstring and imports for the future."""
    return all(
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for node in ast.parse(text).body
    )


def test_every_module_has_a_test_file_that_mirrors_it(texts: dict[Path, str]) -> None:
    missing = []
    for path, text in _sources(texts).items():
        # A package's own file is tested as test_<package>.py, beside the tests of what is in it.
        name = path.parent.name or "stockade" if path.name == "__init__.py" else path.stem
        mirror = _UNIT / path.parent / f"test_{name}.py"
        excepted = path.as_posix() in _TESTED_ELSEWHERE
        trivial = path.name == "__init__.py" and (_does_nothing(text) or path.parent == Path())
        if not excepted and not trivial and mirror not in texts:
            missing.append(f"{_SOURCE / path} has no {mirror}")
    assert not missing, "\n".join(missing)


def test_every_unit_test_mirrors_a_module(texts: dict[Path, str]) -> None:
    sources = _sources(texts)
    strays = []
    for path in texts:
        if path.is_relative_to(_UNIT) and path.name.startswith("test_"):
            folder, name = path.relative_to(_UNIT).parent, path.stem.removeprefix("test_")
            package = folder / "__init__.py" if name == folder.name else None
            if folder / f"{name}.py" not in sources and package not in sources:
                strays.append(f"{path} mirrors no module")
    assert not strays, "\n".join(strays)


def test_every_exception_names_a_module(texts: dict[Path, str]) -> None:
    modules = {path.as_posix() for path in _sources(texts)}
    assert set(_TESTED_ELSEWHERE) <= modules


def test_no_file_is_too_long(texts: dict[Path, str]) -> None:
    too_long = []
    for path, text in texts.items():
        most = _MOST_LINES_OF_TESTS if path.is_relative_to(_TESTS) else _MOST_LINES
        lines = text.count("\n")
        if path.suffix == ".py" and lines > most:
            too_long.append(f"{path} has {lines} lines; split it below {most}")
    assert not too_long, "\n".join(too_long)


def test_every_module_says_what_it_is(texts: dict[Path, str]) -> None:
    silent = [str(path) for path, text in _sources(texts).items() if not _docstring(text)]
    assert not silent, f"no docstring: {', '.join(silent)}"


def _docstring(text: str) -> str | None:
    return ast.get_docstring(ast.parse(text))


def _imports(text: str) -> set[str]:
    """Give the top names of everything a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_what_runs_in_the_guest_needs_nothing_but_python(texts: dict[Path, str]) -> None:
    allowed = sys.stdlib_module_names | {"stockade"}
    foreign = [
        f"{path} imports {name}"
        for path, text in _sources(texts).items()
        if path.parts[0] in {"guest", "wire"}
        for name in sorted(_imports(text) - allowed)
    ]
    assert not foreign, "\n".join(foreign)


# The ways of pathlib and of plain Python to reach the disk; .importlinter covers the modules.
# fmt: off
_READERS = frozenset({
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "exists", "is_file", "is_dir",
    "stat", "lstat", "iterdir", "glob", "rglob", "resolve", "absolute", "expanduser", "mkdir",
    "unlink", "rename", "touch", "cwd", "home", "print", "input",
})
# fmt: on


def test_the_model_and_the_policy_do_not_reach_the_disk(texts: dict[Path, str]) -> None:
    found = []
    for path, text in _sources(texts).items():
        if path.parts[0] not in {"model", "policy"}:
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            owner = getattr(function, "value", None)
            name = getattr(function, "attr", None) or getattr(function, "id", None)
            # PyYAML's loader resolves tags, which has nothing to do with paths.
            if name in _READERS and getattr(owner, "attr", None) != "_loader":
                found.append(f"{_SOURCE / path}:{node.lineno} calls {name}()")
    assert not found, "\n".join(found)
