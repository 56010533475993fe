from __future__ import annotations

import json

import pytest

from stockade import session
from stockade.cli.running import describe
from stockade.cli.streams import CollectedStreams
from stockade.model.outcome import Limit, Outcome, Usage


@pytest.mark.anyio
async def test_the_document_of_a_run_is_json() -> None:
    streams = CollectedStreams()
    await streams.give_output(b"hello\n")
    await streams.give_error(b"\xff")
    report = session.Report(
        session="0011aabb",
        profile="default",
        image="debian-python",
        wall="microvm",
        backend="qemu-microvm",
        kernel="6.1",
        host_kernel="6.18",
        outcome=Outcome(137, None, Limit.MEMORY, "memory limit of 512MiB reached", Usage()),
        seconds=1.5,
    )
    document = json.loads(json.dumps(describe(report, streams)))
    assert document["outcome"]["code"] == 137
    assert document["outcome"]["limit"] == "memory"
    assert document["stdout"] == {"encoding": "utf-8", "data": "hello\n"}
    assert document["stderr"] == {"encoding": "base64", "data": "/w=="}
