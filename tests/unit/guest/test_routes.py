from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes a network namespace")


def _in_namespace(script: str) -> str:
    result = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("family", "address", "source"),
    [
        ("AF_INET", "8.8.8.8", "127.0.0.1"),
        ("AF_INET", "255.255.255.254", "127.0.0.1"),
        ("AF_INET6", "2606:4700::1111", "::1"),
    ],
)
def test_every_address_leads_home(family: str, address: str, source: str) -> None:
    script = f"""
import socket
from stockade.guest.routes import lead_home
lead_home()
server = socket.socket(socket.{family}, socket.SOCK_STREAM)
server.bind(("", 80))
server.listen()
program = socket.create_connection(("{address}", 80), timeout=5)
print(server.accept()[1][0])
"""
    assert _in_namespace(script).strip() == source


def test_what_the_kernel_refuses_is_an_error() -> None:
    script = """
from stockade.guest.routes import lead_home
lead_home()
try:
    lead_home()
except OSError as error:
    print(error.strerror, error.filename)
"""
    assert _in_namespace(script).strip() == "File exists route"
