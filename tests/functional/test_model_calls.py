"""OpenAI's own SDK in a machine: it calls granted models without a key, at a known cost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from tests.functional.conftest import Stockade
from tests.functional.internet import internet
from tests.functional.modelapis import CHAT_USAGE, OPENAI_KEY

pytestmark = [
    pytest.mark.machine,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
]

PROFILE = """
version: 1
name: calls-models
credentials:
  key: {from: "env:TEST_KEY"}
models:
  - {provider: openai, models: ["gpt-4o-mini"], credential: key}
"""

_PROGRAM = """
import json, os, openai

sdk = openai.OpenAI(max_retries=0, timeout=120)
ask = [{"role": "user", "content": "Are agents calm?"}]
calls = sdk.chat.completions
said = {"whole": calls.create(model="gpt-4o-mini", messages=ask).choices[0].message.content}
stream = calls.create(model="gpt-4o-mini", messages=ask, stream=True)
said["stream"] = [chunk.choices[0].delta.content or "" for chunk in stream]
try:
    calls.create(model="o1", messages=ask)
except openai.PermissionDeniedError as error:
    said["refused"] = {"status": error.status_code, "body": error.body}
said["environment"] = dict(os.environ)
print(json.dumps(said))
"""
_TEXT = "Contained agents are calm."
# gpt-4o-mini: $0.15 in, $0.075 from the cache, $0.60 out for a million tokens.
_USD = Decimal(1000) * Decimal("0.15e-6") + 200 * Decimal("0.075e-6") + 345 * Decimal("0.6e-6")


def _install(name: str, folder: Path, done: set[str]) -> None:
    """Copy a distribution, and what it needs, out of the environment that tests run in."""
    if name in done:
        return
    done.add(name)
    found = distribution(name)
    for file in found.files or ():
        if file.parts[0] != "..":
            place = folder / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path(str(file.locate())), place)
    for needed in map(Requirement, found.requires or ()):
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            _install(needed.name, folder, done)


class Run:
    """One session in which the SDK was used: what it said, and what was recorded."""

    def __init__(self, said: dict[str, Any], journal: str) -> None:
        self.said, self.journal = said, journal
        self.events = [json.loads(line) for line in journal.splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    (folder / "runtime").mkdir(mode=0o700)
    stockade = Stockade(
        _program(),
        {"XDG_RUNTIME_DIR": f"{folder}/runtime", "STOCKADE_STATE_DIR": f"{folder}/state"},
    )
    (folder / "profile.yaml").write_text(PROFILE)
    _install("openai", folder / "sdk", set())
    with internet(tmp_path_factory.mktemp("internet")) as net:
        result = subprocess.run(
            [
                *(*net.prefix, stockade.program, "run", "--profile", str(folder / "profile.yaml")),
                *("--file", f"{folder / 'sdk'}:/opt/sdk", "--env", "PYTHONPATH=/opt/sdk"),
                *("--env", "OPENAI_API_KEY=dummy", "--", "python3", "-c", _PROGRAM),
            ],
            env={**stockade.environment, "TEST_KEY": OPENAI_KEY},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    assert OPENAI_KEY not in result.stdout + result.stderr
    [journal] = (folder / "state" / "journals").iterdir()
    return Run(json.loads(result.stdout), journal.read_text())


def _program() -> str:
    import sys  # noqa: PLC0415

    return str(Path(sys.executable).with_name("stockade"))


def test_a_granted_model_answers_whole_and_in_a_stream(run: Run) -> None:
    assert run.said["whole"] == _TEXT
    assert "".join(run.said["stream"]) == _TEXT
    assert len([word for word in run.said["stream"] if word]) > 1


def test_each_call_is_recorded_with_its_price_to_the_cent(run: Run) -> None:
    spent = [one["usage"] for one in run.events if one["kind"] == "spending"]
    assert len(spent) == 2
    for usage in spent:
        assert (usage["input"], usage["output"]) == (
            CHAT_USAGE["prompt_tokens"],
            CHAT_USAGE["completion_tokens"],
        )
        assert Decimal(usage["usd"]) == _USD
        assert usage["complete"]


def test_another_model_is_refused_as_openai_would(run: Run) -> None:
    refused = run.said["refused"]
    assert refused["status"] == 403
    assert "o1" in refused["body"]["message"]
    assert {"message", "type", "param", "code"} <= set(refused["body"])
    asked = [one for one in run.events if one["kind"] == "decision"]
    assert [
        (one["action"]["model"], one["verdict"]["effect"])
        for one in asked
        if one["action"]["kind"] == "model"
    ] == [("gpt-4o-mini", "allow"), ("gpt-4o-mini", "allow"), ("o1", "deny")]


def test_the_key_is_neither_in_the_machine_nor_on_record(run: Run) -> None:
    assert run.said["environment"]["OPENAI_API_KEY"] == "dummy"
    assert OPENAI_KEY not in json.dumps(run.said)
    assert OPENAI_KEY not in run.journal
