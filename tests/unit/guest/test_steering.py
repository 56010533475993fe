"""In a network namespace without an interface, as a machine has it, with this host's kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loads a program into the kernel")

# What a workload does, on the left, and what comes of it. Addresses of the public network are safe:
# nothing leads out of the namespace.
_SCRIPT = """
import select, socket, sys
from stockade.guest.network import open_sockets

sockets = open_sockets()
FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

def attempt(kind, family, address, port, connected):
    with socket.socket(FAMILIES[family], KINDS[kind]) as program:
        program.settimeout(1)
        try:
            if connected or kind == "tcp":
                program.connect((address, port))
            if kind == "tcp":
                end, _ = sockets.connections.accept()
                with end:
                    return "led to " + " ".join(map(str, end.getsockname()[:2]))
            program.send(b"?") if connected else program.sendto(b"?", (address, port))
            if not select.select([sockets.questions], [], [], 0)[0]:
                return program.recv(1) and "?"
            question, control, _, asker = sockets.questions.recvmsg(10, 64)
            sockets.questions.sendmsg([b"!"], control, 0, asker)
            answer, where = program.recvfrom(10)
            return f"answered {answer.decode()} by {where[0]}"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silence"

kind, family, address, port, connected = sys.argv[1:]
print(attempt(kind, family, address, int(port), connected == "connected"))
"""


def attempt(kind: str, family: str, address: str, port: int, *, connected: bool = True) -> str:
    words = [kind, family, address, str(port), "connected" if connected else "free"]
    result = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", textwrap.dedent(_SCRIPT), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize(
    ("family", "address", "port", "seen"),
    [
        ("4", "93.184.216.34", 443, "::ffff:93.184.216.34 443"),
        ("4", "169.254.169.254", 80, "::ffff:169.254.169.254 80"),
        ("4", "10.0.0.1", 22, "::ffff:10.0.0.1 22"),
        ("4", "8.8.8.8", 53, "::ffff:8.8.8.8 53"),
        ("6", "2606:4700::1111", 443, "2606:4700::1111 443"),
        ("6", "fd00:ec2::254", 80, "fd00:ec2::254 80"),
        ("6", "::ffff:1.2.3.4", 80, "::ffff:1.2.3.4 80"),
    ],
)
def test_every_connection_is_led_here_with_its_address(
    family: str, address: str, port: int, seen: str
) -> None:
    assert attempt("tcp", family, address, port) == f"led to {seen}"


@pytest.mark.parametrize(
    ("family", "address"), [("4", "127.0.0.1"), ("4", "127.1.2.3"), ("6", "::1")]
)
def test_loopback_stays_what_it_is(family: str, address: str) -> None:
    assert attempt("tcp", family, address, 9) == "refused"
    assert attempt("udp", family, address, 9) == "refused"


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize(
    ("family", "address"), [("4", "198.18.0.1"), ("4", "8.8.8.8"), ("6", "2001:4860:4860::8888")]
)
def test_any_resolver_is_ours_and_answers_as_itself(
    family: str, address: str, connected: bool
) -> None:
    answer = attempt("udp", family, address, 53, connected=connected)
    assert answer == f"answered ! by {address}"


@pytest.mark.parametrize("port", [123, 443, 5353, 54])
@pytest.mark.parametrize(("family", "address"), [("4", "8.8.8.8"), ("6", "2606:4700::1111")])
def test_other_datagrams_are_refused(family: str, address: str, port: int) -> None:
    assert attempt("udp", family, address, port) == "refused"
