"""Every limit ends what runs into it, with its code and its reason, and the machine goes on."""

from __future__ import annotations

import pytest

from stockade.model.limits import Limits
from stockade.model.outcome import Limit
from stockade.model.profile import Profile
from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine

_LIMITS = Limits(
    memory=256 << 20,
    scratch=64 << 20,
    processes=64,
    wall_time=20.0,
    cpu_time=8.0,
    output=4 << 20,
)
_FORK_BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def tight() -> BlockingSandbox:  # type: ignore[misc]
    with BlockingSandbox(Profile(limits=_LIMITS)) as running:
        yield running


@pytest.mark.parametrize(
    ("command", "code", "limit", "reason"),
    [
        (["python3", "-c", _FORK_BOMB], 137, Limit.PROCESSES, "limit of 64 processes reached"),
        (
            ["python3", "-c", "a = []\nwhile True: a.append(bytearray(1 << 20))"],
            137,
            Limit.MEMORY,
            "memory limit of 256MiB reached",
        ),
        # More than the machine has, in one piece.
        (
            ["python3", "-c", "'a' * 10**9"],
            137,
            Limit.MEMORY,
            "memory limit of 256MiB reached",
        ),
        (["sh", "-c", "while :; do :; done"], 137, Limit.CPU_TIME, "CPU time limit of 8s reached"),
        (["yes"], 137, Limit.OUTPUT, "output limit of 4MiB reached"),
        (["sleep", "1000"], 124, Limit.WALL_TIME, "time limit of 20s reached"),
    ],
    ids=["processes", "memory", "memory-at-once", "cpu_time", "output", "wall_time"],
)
def test_a_limit_ends_the_command_and_nothing_else(
    tight: BlockingSandbox, command: list[str], code: int, limit: Limit, reason: str
) -> None:
    outcome = tight.exec(command).outcome
    assert (outcome.code, outcome.limit, outcome.reason) == (code, limit, reason)
    assert tight.exec(["echo", "still here"]).text == "still here\n"


def test_a_full_scratch_disk_is_told(tight: BlockingSandbox) -> None:
    result = tight.exec(["dd", "if=/dev/zero", "of=/tmp/full", "bs=1M"])
    assert result.code == 1
    assert b"No space left" in result.stderr
    assert result.outcome.reason == "scratch disk of 64MiB is full"
    assert tight.exec(["rm", "/tmp/full"]).code == 0
    assert tight.exec(["sh", "-c", "echo fits > /tmp/small"]).code == 0


def test_exactly_the_output_limit_is_passed_on(tight: BlockingSandbox) -> None:
    result = tight.exec(["head", "-c", str(4 << 20), "/dev/zero"])
    assert (result.code, len(result.stdout)) == (0, 4 << 20)


def test_shared_memory_counts_as_memory(tight: BlockingSandbox) -> None:
    outcome = tight.exec(["dd", "if=/dev/zero", "of=/dev/shm/full", "bs=1M"]).outcome
    assert outcome.code != 0
    tight.exec(["rm", "-f", "/dev/shm/full"])
