from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stockade.cli.streams import CollectedStreams, as_text

_COPY = """
import anyio
from stockade.cli.streams import InheritedStreams

async def main():
    streams = InheritedStreams()
    async for chunk in streams.input():
        await streams.give_output(chunk)
    await streams.give_error(b"end")

anyio.run(main)
"""


@pytest.mark.parametrize("kind", ["pipe", "file", "nothing"])
def test_input_of_every_kind_arrives_exact(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = b"" if kind == "nothing" else os.urandom(300_000)
    command = [sys.executable, "-c", _COPY]
    if kind == "pipe":
        done = subprocess.run(command, input=data, capture_output=True, check=True)
    else:
        path = tmp_path_factory.mktemp("in") / "data"
        path.write_bytes(data)
        with Path(os.devnull if kind == "nothing" else path).open("rb") as source:
            done = subprocess.run(command, stdin=source, capture_output=True, check=True)
    assert done.stdout == data
    assert done.stderr == b"end"


@pytest.mark.anyio
async def test_collected_output_is_kept_apart() -> None:
    streams = CollectedStreams()
    await streams.give_output(b"a")
    await streams.give_error(b"b")
    await streams.give_output(b"c")
    assert (bytes(streams.output), bytes(streams.error)) == (b"ac", b"b")


def test_text_and_bytes_as_json() -> None:
    assert as_text("ä".encode()) == {"encoding": "utf-8", "data": "ä"}
    raw = as_text(b"\xff\x00")
    assert raw["encoding"] == "base64"
    assert base64.b64decode(raw["data"]) == b"\xff\x00"
