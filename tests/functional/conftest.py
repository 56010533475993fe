"""The ``stockade`` command as a user starts it: another process, its streams, its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from stockade.sandbox.images.prepare import prepare_runtime
from stockade.sandbox.paths import cache_dir

_PATIENCE = 150.0  # seconds; only a run that hangs takes as long, also on a busy machine


@dataclass(frozen=True)
class Stockade:
    """The command, and the environment that it starts in."""

    program: str
    env: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """This process's own; output is buffered, as users have it, and fails only when flushed."""
        return {**os.environ, "PYTHONUNBUFFERED": "", **self.env}

    def __call__(
        self, *arguments: str | bytes | Path, stdin: bytes = b"", stdout: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``stockade`` with ``arguments`` to its end."""
        return self.execute(self.program, *arguments, stdin=stdin, stdout=stdout)

    def execute(
        self, *command: str | bytes | Path, stdin: bytes = b"", stdout: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command that starts ``stockade`` in some unusual way."""
        return subprocess.run(
            command,
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.environment,
            timeout=_PATIENCE,
            check=False,
        )


@pytest.fixture
def stockade(tmp_path: Path) -> Stockade:
    """The command, with folders in which only this test's machines and checkpoints are found."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    program = Path(sys.executable).with_name("stockade")
    own = {"XDG_RUNTIME_DIR": str(folder), "STOCKADE_STATE_DIR": str(tmp_path / "state")}
    return Stockade(str(program), own)


@pytest.fixture(scope="session")
def runtime_cache() -> Path:
    """The user's cache, with what every machine boots from built already."""
    anyio.run(prepare_runtime)
    return cache_dir()


def expect_one_clear_line(
    done: subprocess.CompletedProcess[bytes], *words: str, code: int = 125
) -> None:
    """Check that ``done`` failed with ``code``, no output, and one line that has all ``words``."""
    said = done.stderr.decode()
    # None where standard output went elsewhere.
    assert (done.returncode, done.stdout or b"") == (code, b""), said
    assert said.startswith("stockade: ")
    assert said.endswith("\n")
    assert said.count("\n") == 1, said
    assert all(word in said for word in words), said
