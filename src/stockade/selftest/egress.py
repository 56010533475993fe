"""The self-test of the egress wall: one machine on an internet of our own makes all attempts.

What got through is told by what was seen outside of the machine, and not by the machine. Every
process of it, Stockade's own too, is in a network namespace that leads nowhere.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from stockade.model.errors import StockadeError
from stockade.selftest import program
from stockade.selftest.corpus import ATTEMPTS, CATEGORIES, CONTROL, CONTROLS
from stockade.selftest.grants import PROFILE, SECRET_VARIABLE, WIDENING, Breach, breaches
from stockade.selftest.hosts import API, DATABASE, NAIVE
from stockade.selftest.internet import internet

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stockade.selftest.corpus.attempt import Attempt
    from stockade.selftest.internet import Internet

_LONGEST = 240  # seconds; less than sixty are usual
_PLACE = "/selftest.py"


@dataclass(frozen=True)
class Result:
    """What came of one attempt: what was seen that must not have been, and the machine's word."""

    category: str
    name: str
    got_through: tuple[str, ...]
    answer: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """What came of all. ``controls`` are what has to arrive, by name."""

    results: list[Result]
    controls: dict[str, bool]
    unaccounted: list[str]
    """What was seen that no attempt's mark was on."""
    missing: list[str]
    """Attempts of which the machine did not tell."""
    seconds: float

    @property
    def contained(self) -> bool:
        """Whether the wall has held, and the test was one."""
        through = any(result.got_through for result in self.results)
        return all(self.controls.values()) and not (through or self.unaccounted or self.missing)


def check_host() -> None:
    """Raise ``StockadeError`` where no network namespace can be made."""
    if os.geteuid() != 0:
        raise StockadeError(
            "the self-test makes network namespaces, which takes root", hint="Run it with sudo."
        )
    for name in ("unshare", "nsenter", "ip", "mount"):
        if not shutil.which(name):
            raise StockadeError(
                f"the self-test needs the program {name}",
                hint="Install it with: apt install iproute2 util-linux mount",
            )


def run(only: Collection[str] = (), *, widened: bool = False) -> Report:
    """Make the attempts of the categories ``only``, or all.

    ``widened`` grants what some attempts try to reach: the report must tell of them then. Needs the
    images to be built, as nothing can be downloaded where it runs.
    """
    check_host()
    begun = time.monotonic()
    chosen = [one for one in ATTEMPTS if one.category in (only or CATEGORIES)]
    marked = {f"tag{place:03}": one for place, one in enumerate((*CONTROLS, *chosen))}
    secret = secrets.token_hex(16)
    with TemporaryDirectory(prefix="stockade-selftest-") as name:
        folder = Path(name)
        (folder / "internet").mkdir()
        with internet(folder / "internet") as net:
            told = _attempt(net, folder, marked, secret, widened=widened)
            seen = net.seen()
    return _report(marked, told, seen, secret, time.monotonic() - begun)


def _attempt(
    net: Internet, folder: Path, marked: dict[str, Attempt], secret: str, *, widened: bool
) -> dict[str, dict[str, Any]]:
    """Run the machine; by mark, what it tells of each attempt."""
    (folder / "runtime").mkdir(mode=0o700)
    profile = {**PROFILE, "network": PROFILE["network"] + (WIDENING if widened else [])}
    (folder / "profile.yaml").write_text(json.dumps(profile))  # JSON is YAML
    slow_first = sorted(marked.items(), key=lambda one: "seconds" not in one[1].arguments)
    attempts = [one.marked(mark) for mark, one in slow_first]
    environment = {
        **os.environ,
        "XDG_RUNTIME_DIR": str(folder / "runtime"),
        "STOCKADE_STATE_DIR": str(folder / "state"),
        SECRET_VARIABLE: secret,
    }
    words = [
        *(
            "run",
            "--profile",
            str(folder / "profile.yaml"),
            "--timeout",
            f"{_LONGEST}s",
            "--limit",
            "cpus=2",
        ),
        *("--file", f"{program.__file__}:{_PLACE}", "--", "python3", _PLACE),
    ]
    done = subprocess.run(
        [*net.prefix, sys.executable, "-c", "from stockade.cli.main import main; main()", *words],
        env=environment,
        input=json.dumps(attempts).encode(),
        capture_output=True,
        timeout=_LONGEST + 60,
        check=False,
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise StockadeError(f"the machine of the self-test ended with {done.returncode}: {last}")
    told = map(json.loads, done.stdout.splitlines())
    return {one["mark"]: one for one in told}


def _report(
    marked: dict[str, Attempt],
    told: dict[str, dict[str, Any]],
    seen: Sequence[dict[str, Any]],
    secret: str,
    seconds: float,
) -> Report:
    found = list(breaches(seen, secret))
    found += [
        Breach(mark, "the machine has the credential")
        for mark, one in told.items()
        if secret in json.dumps(one)
    ]
    results = []
    for mark, one in marked.items():
        said = told.get(mark, {})
        through = [breach.what for breach in found if breach.mark == mark]
        if said.get("reached"):
            through.append(f"the machine says: {said['answer'][:100]}")
        if one.category != CONTROL or through:
            answer = said.get("answer", said.get("error", ""))
            results.append(
                Result(one.category, one.name, tuple(through), answer, said.get("seconds", 0.0))
            )
    return Report(
        results,
        {control.name: ok for control, ok in zip(CONTROLS, _controls(told, seen), strict=True)},
        [breach.what for breach in found if breach.mark not in marked],
        [f"{one.category}: {one.name}" for mark, one in marked.items() if mark not in told],
        seconds,
    )


def _controls(
    told: dict[str, dict[str, Any]], seen: Sequence[dict[str, Any]]
) -> tuple[bool, bool, bool, bool]:
    """Whether each of ``CONTROLS`` has arrived, and was answered."""
    answers = [told.get(f"tag{place:03}", {}).get("answer", "") for place in range(len(CONTROLS))]
    paths = {(one["host"], one["path"]) for one in seen if one["kind"] == "request"}
    naive = any(
        one["host"] == NAIVE and "tag001" in one["text"] for one in seen if one["kind"] == "bytes"
    )
    connected = any(one["kind"] == "connection" and one["host"] == DATABASE for one in seen)
    return (
        (API, "/public/tag000") in paths and "/public/tag000" in answers[0],
        naive and answers[1] == "ok",
        (API, "/given/tag002") in paths and "/given/tag002" in answers[2],
        connected and answers[3] == "tag003",
    )
