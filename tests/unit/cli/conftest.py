"""The arguments of one command, read as the command line reads them, and machines to name."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from stockade.cli.parser import Parser
from stockade.model.errors import StockadeError
from stockade.sandbox import control, registry

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator
    from types import ModuleType


@pytest.fixture
def read() -> Callable[..., Namespace]:
    def parse(command: ModuleType, *words: str) -> Namespace:
        parser = Parser(command.__name__.rpartition(".")[2], "")
        command.add_arguments(parser)
        return parser.parse(words)

    return parse


@dataclass
class Owner:
    """The process that owns a machine, as others meet it: it notes what it is asked for."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    refusal: StockadeError | None = None

    async def handle(self, request: dict[str, Any]) -> None:
        """Note a request, and refuse it if that is what was set."""
        self.requests.append(request)
        if self.refusal:
            raise self.refusal


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Owner]]:
    """Make machines that count as alive, as this very process is what their records name."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("STOCKADE_STATE_DIR", str(tmp_path / "state"))

    with start_blocking_portal() as portal, ExitStack() as serving:

        def make(machine: str) -> Owner:
            registry.write(
                registry.Record(
                    id=machine,
                    pid=os.getpid(),
                    ticks=registry.start_ticks(os.getpid()),
                    owner=os.getpid(),
                    backend="qemu-microvm",
                    image="debian-python",
                    profile="default",
                    command=[],
                    started=0.0,
                )
            )
            made = Owner()
            served = portal.start_task_soon(control.serve, machine, made.handle)
            serving.callback(served.cancel)
            portal.call(anyio.lowlevel.checkpoint)  # by its end the other one listens
            return made

        yield make
