"""What all tests share: one running machine, since a cold boot takes seconds."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from stockade.sandbox.blocking import BlockingSandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# By itself hypothesis fails what takes longer than 200 ms, as anything may on a busy machine.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def box() -> Iterator[BlockingSandbox]:
    """A machine under the default profile, for tests that leave it usable."""
    with BlockingSandbox() as running:
        yield running


@pytest.fixture
def eventually() -> Callable[[Callable[[], object], str], None]:
    """Wait, up to a deadline, for something that another process does."""

    def wait(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            pause.wait(0.02)

    return wait
