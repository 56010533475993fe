"""The socket is this user's alone, and gone afterwards."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from stockade.egress.courier.server import serve

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def _names(path: Path) -> list[Path]:
    return list(path.iterdir())


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_it_serves_on_a_private_socket(folder: Path) -> None:
    path = folder / "socket"
    async with serve(PlainTextResponse("here"), path):
        assert _mode(path) == 0o600
        transport = httpx2.AsyncHTTPTransport(uds=str(path))
        async with httpx2.AsyncClient(transport=transport) as client:
            answer = await client.get("http://x/")
            large = await client.get("http://x/", headers={"x-large": "y" * 400_000})
    assert answer.text == "here"
    assert "server" not in answer.headers
    assert large.status_code == 400
    assert not _names(folder)


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701])
async def test_a_folder_that_others_may_enter_is_refused(folder: Path, mode: int) -> None:
    _change(folder, mode)
    with pytest.raises(PermissionError, match="0700"):
        async with serve(PlainTextResponse("here"), folder / "socket"):
            pass


def _change(path: Path, mode: int) -> None:
    path.chmod(mode)
