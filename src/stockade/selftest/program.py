"""Runs in the machine: makes the attempts that it is given, and tells what came of each.

Standard input is a JSON list of ``[mark, how, arguments]``; for each, a line of JSON comes out with
``mark``, ``answer`` (the first of what came back) and ``error``, and ``reached`` where the machine
alone can tell that something was reached. Nothing but Python's own library is needed.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_ONCE = 16
_PATIENCE = 20.0  # seconds until something must have come
_QUIET = 1.0  # seconds of silence after an answer has begun
_DATAGRAM = 1.5  # seconds until a datagram has to be answered
_SHOWN = 300  # bytes of an answer
# One for all: to read the authorities takes an emulated machine longer than all attempts together.
_TRUSTING = ssl.create_default_context()


def talk(
    host: str, port: int, text: str, *, tls: str = "", alpn: str = "", seconds: float = 0
) -> dict[str, Any]:
    """Send ``text`` (Latin-1) on a connection, by TLS if ``tls`` is a server's name.

    With ``seconds`` it goes in sixteen pieces over that time.
    """
    with socket.create_connection((host, port), timeout=_PATIENCE) as plain:
        program = plain
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False  # whoever answers is told apart by what was seen outside
            context.verify_mode = ssl.CERT_NONE
            if alpn:
                context.set_alpn_protocols([alpn])
            program = context.wrap_socket(plain, server_hostname=None if tls == "-" else tls)
        data = text.encode("latin-1")
        if seconds:
            step = -(-len(data) // 16)
            for start in range(0, len(data), step):
                program.sendall(data[start : start + step])
                time.sleep(seconds / 16)
        else:
            program.sendall(data)
        received = program.recv(4096)
        program.settimeout(_QUIET)
        try:
            while received and len(received) < 65_536 and (chunk := program.recv(4096)):
                received += chunk
        except TimeoutError:
            pass
        return {"answer": received[:_SHOWN].decode("latin-1")}


def fetch(
    url: str, method: str = "GET", body: str = "", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Ask as an ordinary program does, following redirects."""
    request = urllib.request.Request(  # noqa: S310 - any scheme is an attempt
        url, data=body.encode() or None, method=method, headers=headers or {}
    )
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_TRUSTING))
    try:
        with opener.open(request, timeout=_PATIENCE) as answer:
            return {"answer": answer.read(_SHOWN).decode("latin-1")}
    except urllib.error.HTTPError as error:
        return {"answer": f"{error.code} {error.read(_SHOWN).decode('latin-1')}"}


def datagram(host: str, port: int, text: str) -> dict[str, Any]:
    """Send a datagram; an answer to it would be something reached."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as program:
        program.settimeout(_DATAGRAM)
        program.connect((host, port))
        program.send(text.encode("latin-1"))
        answer = program.recv(_SHOWN)
        return {"answer": answer.decode("latin-1"), "reached": True}


def question(
    name: str,
    kind: int,
    *,
    server: str = "192.0.2.53",
    over: str = "udp",
    more: str = "",
    records: int = 0,
) -> dict[str, Any]:
    """Ask a resolver (RFC 1035); ``more``, with so many ``records``, is appended."""
    labels = b"".join(
        bytes([len(label)]) + label.encode("latin-1") for label in name.split(".") if label
    )
    message = struct.pack("!6H", 0x5157, 0x0100, 1, 0, 0, records) + labels + b"\0"
    message += struct.pack("!2H", kind, 1) + more.encode("latin-1")
    if over == "tcp":
        with socket.create_connection((server, 53), timeout=5) as program:
            program.sendall(struct.pack("!H", len(message)) + message)
            return {"answer": program.recv(_SHOWN).decode("latin-1")}
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as program:
        program.settimeout(_DATAGRAM)
        program.sendto(message, (server, 53))
        return {"answer": program.recv(_SHOWN).decode("latin-1")}


def resolve(name: str) -> dict[str, Any]:
    """Look a name up as programs do."""
    found = {entry[4][0] for entry in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)}
    return {"answer": " ".join(sorted(map(str, found)))}


def open_socket(family: int, kind: int, protocol: int) -> dict[str, Any]:
    """Make a socket that no workload may have."""
    with socket.socket(family, kind, protocol):
        return {"answer": "it was opened", "reached": True}


def link(kind: int, flags: int, body: str) -> dict[str, Any]:
    """Ask the kernel to change the network (rtnetlink(7)); ``body`` is in hexadecimal digits."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        payload = bytes.fromhex(body)
        kernel.send(struct.pack("=IHHII", 16 + len(payload), kind, flags | 5, 1, 0) + payload)
        error: int = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
        return {"answer": f"error {-error}", "reached": error == 0}


def vsock(cid: int, port: int) -> dict[str, Any]:
    """Connect to the hypervisor's side."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as program:
        program.settimeout(_DATAGRAM)
        program.connect((cid, port))
        return {"answer": "it was connected", "reached": True}


def device(name: str, option: int) -> dict[str, Any]:
    """Bind a socket to an interface, or set another option that takes a privilege."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as program:
        program.setsockopt(socket.SOL_SOCKET, option, name.encode() + b"\0")
        return {"answer": "it was set"}


def command(words: list[str]) -> dict[str, Any]:
    """Run a program; that it succeeds would be something reached."""
    done = subprocess.run(words, capture_output=True, timeout=_PATIENCE, check=False)
    said = (done.stdout + done.stderr)[:_SHOWN].decode("latin-1")
    return {"answer": f"{done.returncode} {said}", "reached": done.returncode == 0}


_HOW: dict[str, Callable[..., dict[str, Any]]] = {
    one.__name__: one
    for one in (talk, fetch, datagram, question, resolve, open_socket, link, vsock, device, command)
}


def attempt(mark: str, how: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Make one attempt, whatever comes of it."""
    begun = time.monotonic()
    try:
        result = _HOW[how](**arguments)
    except Exception as error:  # noqa: BLE001 - each way of failing is an outcome
        result = {"error": f"{type(error).__name__}: {error}"[:_SHOWN]}
    return {"mark": mark, **result, "seconds": round(time.monotonic() - begun, 2)}


def main() -> None:
    """Make all attempts, sixteen at once."""
    attempts = json.load(sys.stdin)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for result in threads.map(lambda one: attempt(*one), attempts):
            sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
