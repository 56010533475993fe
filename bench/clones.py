"""How long copies of a machine take: to start, to use, to fork, to roll back and to pause.

All is measured in one process in turns: in each turn one machine is copied and goes through all of
it, one is claimed from a pool, and each floor is run once. Some of the turns boot a machine too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from stockade.model.profile import Profile
from stockade.sandbox.choice import choose_backend
from stockade.sandbox.pool import Pool
from stockade.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench._floors import floors
    from bench._measure import distributions, in_turns, options, ratio, report, stopwatch

    from stockade.sandbox.backends.base import Backend
else:
    from _floors import floors
    from _measure import distributions, in_turns, options, ratio, report, stopwatch

_LATER = 3  # commands after the first, in each machine
_RATIOS = [
    ("clone_first_reply", "qemu_bare_machine"),
    ("clone_first_reply", "jail_true"),
    ("clone_first_reply", "python_start"),
    ("clone_first_reply", "cold_first_reply"),
    ("clone_ready", "qemu_bare_machine"),
    ("clone_ready", "cold_ready"),
    ("fork", "clone_ready"),
    ("rollback", "clone_ready"),
    ("claim", "fork_exec_true"),
    ("claim", "clone_ready"),
    ("ping", "fork_exec_true"),
    ("true_first", "true_later"),
    ("true_later", "fork_exec_true"),
    ("true_later", "unshare_true"),
]


class _Turns:
    """The series, by name, in milliseconds."""

    def __init__(self, backend: Backend) -> None:
        self.times: dict[str, list[float]] = {}
        self._backend = backend

    def clock(self, name: str) -> list[float]:
        """The series ``name``, to measure into."""
        return self.times.setdefault(name, [])

    async def clone(self) -> None:
        """Copy the template and do with the machine what there is to do."""
        box = Sandbox(backend=self._backend)
        async with box:
            self._note_start("clone", box)
            with stopwatch(self.clock("ping")):
                await box.ping()
            await self._true(box, "true_first")
            for _ in range(_LATER):
                await self._true(box, "true_later")
            await self._fork(box)
            await self._rollback(box)
            await self._pause(box)
            with stopwatch(self.clock("destroy")):
                await box.close()

    async def boot(self) -> None:
        """Boot a machine."""
        async with Sandbox(backend=self._backend, cold=True) as box:
            self._note_start("cold", box)

    async def claim(self, pool: Pool) -> None:
        """Take a machine that waits; the next one is started before anything else is measured."""
        await pool.full()
        box = pool.claim()
        with stopwatch(self.clock("claim")):
            await box.__aenter__()
        try:
            # The pool starts the next one meanwhile, as it does in use.
            await self._true(box, "claim_true_first")
        finally:
            await box.close()
        await pool.full()

    async def _fork(self, box: Sandbox) -> None:
        await _rested(box)
        copy = box.fork()
        with stopwatch(self.clock("fork")):
            await copy.__aenter__()
        try:
            await self._true(copy, "fork_true_first")
        finally:
            await copy.close()

    async def _rollback(self, box: Sandbox) -> None:
        await _rested(box)
        # A fork begins with just this, and nothing in it leaves the machine running.
        with stopwatch(self.clock("fork_source_stopped")):
            checkpoint = await box.checkpoint()
        try:
            self.clock("checkpoint_mib").append(checkpoint.pages.size / (1 << 20))
            with stopwatch(self.clock("rollback")):
                await box.rollback(checkpoint)
        finally:
            checkpoint.close()
        await self._true(box, "rollback_true_first")

    async def _pause(self, box: Sandbox) -> None:
        await _rested(box)
        with stopwatch(self.clock("pause")):
            await box.pause()
        with stopwatch(self.clock("resume")):
            await box.resume()
        with stopwatch(self.clock("resume_ping")):
            await box.ping()

    async def _true(self, box: Sandbox, name: str) -> None:
        with stopwatch(self.clock(name)):
            result = await box.exec(["true"])
        assert result.code == 0, result

    def _note_start(self, kind: str, box: Sandbox) -> None:
        first_reply = box.timings["launch"] + box.timings["boot"]
        self.clock(f"{kind}_first_reply").append(first_reply * 1e3)
        self.clock(f"{kind}_ready").append((first_reply + box.timings["configure"]) * 1e3)


async def _rested(box: Sandbox) -> None:
    """Have the agent done with what the last command has left to clear up."""
    await box.ping()
    await box.ping()


def main() -> None:
    parser = options(__doc__.splitlines()[0], runs=50)
    parser.add_argument("--cold", type=int, default=3, help="boots among them (3)")
    arguments = parser.parse_args()
    with floors() as candidates:
        accelerator, times = anyio.run(_measure, arguments.runs, arguments.cold, candidates)
    pages = times.pop("checkpoint_mib")
    report(
        "clones",
        "ms",
        {
            "accelerator": accelerator,
            **distributions(times),
            "checkpoint_mib": distributions({"pages": pages})["pages"],
            "ratios": {
                f"{one}/{other}": ratio(times[one], times[other])
                for one, other in _RATIOS
                if one in times and other in times
            },
        },
    )


async def _measure(
    runs: int, cold: int, candidates: dict[str, Callable[[], None]]
) -> tuple[str, dict[str, list[float]]]:
    backend = await choose_backend(Profile().wall)
    async with Sandbox(backend=backend):
        pass  # what is made once is made now: image, template
    turns = _Turns(backend)
    async with Pool(ready=1) as pool:
        for number in range(runs):
            await turns.claim(pool)
            await turns.clone()
            # They block on purpose: nothing else is to happen meanwhile.
            for name, values in in_turns(1, candidates).items():
                turns.clock(name).extend(values)
            if number * cold // runs != (number - 1) * cold // runs:
                await turns.boot()
    return backend.accelerator, turns.times


if __name__ == "__main__":
    main()
