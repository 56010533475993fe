"""An application on a Unix socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from stockade.egress.http.service import serve

pytestmark = pytest.mark.anyio


async def test_it_answers_and_is_gone_at_the_end(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    path = tmp_path / "socket"
    async with serve(app, path), await anyio.connect_unix(path) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await stream.receive()).startswith(b"HTTP/1.1 204 ")
    with pytest.raises(OSError, match=r".*"):
        await anyio.connect_unix(path)
