"""An internet of our own: a network namespace with public addresses, a resolver and hosts.

Run as a program it is that internet, in namespaces that ``unshare`` has made for it: nothing leads
out of them. ``Internet`` starts it, and commands in it. Stockade runs there as it is, with the
system's resolver and authorities being ours.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import dns.message
import dns.rcode
import dns.rrset
import uvicorn
from anyio.abc import SocketStream

from stockade.egress.http.authority import Authority

HOSTS = {
    "api.example.com": "93.184.216.34",
    "other.example.com": "93.184.216.35",
    "db.example.com": "93.184.216.36",
    "api.openai.com": "93.184.216.40",
    "api.anthropic.com": "93.184.216.41",
    "evil.example.net": "93.184.216.66",
}
LEADING_INSIDE = {
    "loopback.example.com": "127.0.0.1",
    "metadata.example.com": "169.254.169.254",
    "private.example.com": "10.0.0.5",
}
METADATA = "169.254.169.254"
TCP_PORT = 5432


@dataclass(frozen=True)
class Internet:
    """The internet as long as it runs, and what its hosts have seen."""

    pid: int
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> list[str]:
        """Words before a command that is to run in it."""
        return ["nsenter", "--target", str(self.pid), "--net", "--mount"]

    def seen(self) -> list[dict[str, Any]]:
        """What reached a host, in order: requests, connections, questions for names."""
        log = self.folder / "seen"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def hosts_seen(self) -> set[str]:
        """The hosts that any byte has reached."""
        return {one["host"] for one in self.seen() if one["kind"] != "question"}


@contextmanager
def internet(folder: Path) -> Iterator[Internet]:
    """Have an internet while the context lasts."""
    command = ["unshare", "--net", "--mount", sys.executable, __file__, str(folder)]
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=paths) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield Internet(process.pid, folder)
        finally:
            process.send_signal(signal.SIGTERM)


def _note(folder: Path, **what: object) -> None:
    with (folder / "seen").open("a") as log:
        log.write(json.dumps(what) + "\n")


class _Web:
    """What every host says: what it was asked. ``/echo-headers`` is one that tells all it got."""

    def __init__(self, folder: Path, host: str) -> None:
        self._folder, self._host = folder, host

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {key.decode(): value.decode("latin-1") for key, value in scope["headers"]}
        path = scope["raw_path"].decode("latin-1")
        asked = {"method": scope["method"], "path": path, "headers": headers}
        query = scope["query_string"].decode("latin-1")
        _note(self._folder, kind="request", host=self._host, query=query, body=len(body), **asked)
        location = []
        status = 200
        if path == "/redirect":
            status, location = 302, [(b"location", b"https://evil.example.net/stolen")]
        answer = json.dumps({"host": self._host, **asked}).encode()
        if path.startswith("/bytes/"):
            answer = bytes(int(path.rpartition("/")[2]))
        fields = [(b"content-type", b"application/json"), *location]
        fields.append((b"content-length", b"%d" % len(answer)))
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": answer})


async def _web(folder: Path, host: str, authority: Authority) -> None:
    """Serve a host by HTTPS and HTTP."""
    leaf = authority.issue(host)
    certificate = folder / f"{host}.pem"
    certificate.write_bytes(leaf.certificate + leaf.key)
    app = _app(folder, host)
    async with anyio.create_task_group() as tasks:
        for port in (443, 80):
            config = uvicorn.Config(
                app,
                log_level="critical",
                lifespan="off",
                http="h11",
                loop="asyncio",
                ssl_certfile=str(certificate) if port == 443 else None,
            )
            listening = socket.create_server((HOSTS[host], port), backlog=128)
            tasks.start_soon(uvicorn.Server(config)._serve, [listening])


def _app(folder: Path, host: str) -> Any:
    from tests.functional.modelapis import Anthropic, OpenAI  # noqa: PLC0415

    if host == "api.openai.com":
        return OpenAI().app
    return Anthropic().app if host == "api.anthropic.com" else _Web(folder, host)


async def _tcp(folder: Path, host: str, port: int) -> None:
    """Send back what comes."""

    async def echo(client: SocketStream) -> None:
        _note(folder, kind="connection", host=host, port=port)
        async with client:
            try:
                while True:
                    await client.send(await client.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return  # who came has gone

    listener = await anyio.create_tcp_listener(local_host=HOSTS.get(host, host), local_port=port)
    await listener.serve(echo)


async def _names(folder: Path) -> None:
    """Answer for the names of this internet."""
    known = {**HOSTS, **LEADING_INSIDE}
    async with await anyio.create_udp_socket(local_host="127.0.0.1", local_port=53) as server:
        async for question, (host, port) in server:
            query = dns.message.from_wire(question)
            name = query.question[0].name.to_text(omit_final_dot=True).lower()
            _note(folder, kind="question", host=name)
            reply = dns.message.make_response(query)
            if name not in known:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            elif query.question[0].rdtype == 1:
                found = dns.rrset.from_text(query.question[0].name, 1, "IN", "A", known[name])
                reply.answer.append(found)
            await server.sendto(reply.to_wire(), host, port)


def _furnish(folder: Path, authority: Authority) -> None:
    run = ["ip", "link", "set", "lo", "up"]
    subprocess.run(run, check=True)
    for address in (*HOSTS.values(), METADATA, "10.0.0.5"):
        assert ip_address(address)
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    bundle = folder / "authorities.pem"
    bundle.write_bytes(authority.certificate)
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    places = {
        bundle: Path("/etc/ssl/certs/ca-certificates.crt"),
        resolver: Path("/etc/resolv.conf"),
    }
    for source, place in places.items():
        subprocess.run(["mount", "--bind", source, place.resolve()], check=True)


async def _serve(folder: Path) -> None:
    authority = Authority.load(folder / "authority")
    _furnish(folder, authority)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_names, folder)
        for host in HOSTS:
            if host != "db.example.com":
                tasks.start_soon(_web, folder, host, authority)
        tasks.start_soon(_tcp, folder, "db.example.com", TCP_PORT)
        for inside in (METADATA, "10.0.0.5", "127.0.0.1"):
            tasks.start_soon(_tcp, folder, inside, 80)
        await anyio.wait_all_tasks_blocked()  # all of them listen
        print("ready", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_serve, Path(sys.argv[1]))
