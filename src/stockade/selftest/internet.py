"""An internet of our own: a network namespace in which every address is here, and some have hosts.

Run as a program it is that internet, in namespaces that ``unshare`` has made for it: nothing leads
out of them. ``internet`` starts it. Stockade runs there as it is, with the system's resolver and
authorities being ours.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn

from stockade.egress.http.authority import Authority
from stockade.model.errors import StockadeError
from stockade.selftest import hosts
from stockade.selftest.names import answer_names
from stockade.selftest.witness import watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stockade.selftest.hosts import App

_ROUTES = (
    ("link", "set", "lo", "up"),
    ("route", "add", "local", "default", "dev", "lo", "src", "127.0.0.1"),
    ("-6", "route", "add", "local", "default", "dev", "lo", "src", "::1"),
)


@dataclass(frozen=True)
class Internet:
    """The internet as long as it runs, and what its hosts have seen."""

    pid: int
    folder: Path

    @property
    def prefix(self) -> list[str]:
        """Words before a command that is to run in it."""
        return ["nsenter", "--target", str(self.pid), "--net", "--mount"]

    def seen(self) -> list[dict[str, Any]]:
        """What was seen, in order: packets, requests, connections, questions for names."""
        log = self.folder / "seen"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def hosts_seen(self) -> set[str]:
        """The hosts that a connection or request has reached."""
        return {one["host"] for one in self.seen() if one["kind"] in ("request", "connection")}


@contextmanager
def internet(folder: Path, program: Sequence[str] = ("-m", __name__)) -> Iterator[Internet]:
    """Have an internet while the context lasts; ``program`` is what Python runs to be it.

    Takes root. ``StockadeError`` if it does not come up.
    """
    command = ["unshare", "--net", "--mount", sys.executable, *program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            if not process.stdout or process.stdout.readline() != b"ready\n":
                raise StockadeError(
                    "the network namespace of the self-test could not be set up",
                    hint="It takes root, and the programs unshare, nsenter and ip.",
                )
            yield Internet(process.pid, folder)
        finally:
            process.send_signal(signal.SIGTERM)


async def serve(folder: Path, more: Mapping[str, tuple[str, App]] | None = None) -> None:
    """Be the internet, with ``more`` hosts (name to address and application), until cancelled."""
    authority = Authority.load(folder / "authority")
    _furnish(folder, authority)
    note = partial(_note, folder / "seen")
    web = {
        name: (address, hosts.Web(name, note))
        for name, address in hosts.ADDRESSES.items()
        if name not in (hosts.DATABASE, hosts.NAIVE)
    }
    web |= more or {}
    addresses = {**hosts.ADDRESSES, **{name: address for name, (address, _) in web.items()}}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, note)
        tasks.start_soon(answer_names, addresses, note)
        for name, (address, app) in web.items():
            tasks.start_soon(_web, folder, name, address, app, authority)
        tasks.start_soon(
            hosts.echo, hosts.DATABASE, addresses[hosts.DATABASE], hosts.TCP_PORT, note
        )
        tasks.start_soon(hosts.naive, _certificate(folder, hosts.NAIVE, authority), note)
        for inside in hosts.INSIDE:
            tasks.start_soon(hosts.echo, inside, inside, 80, note)
        await anyio.wait_all_tasks_blocked()  # all of them listen
        print("ready", flush=True)
        await anyio.sleep_forever()


def _note(log: Path, **what: object) -> None:
    with log.open("a") as lines:
        lines.write(json.dumps(what) + "\n")


def _certificate(folder: Path, name: str, authority: Authority) -> Path:
    leaf = authority.issue(name)
    file = folder / f"{name}.pem"
    file.write_bytes(leaf.certificate + leaf.key)
    return file


async def _web(folder: Path, name: str, address: str, app: App, authority: Authority) -> None:
    """Serve a host by HTTPS and HTTP."""
    certificate = str(_certificate(folder, name, authority))
    async with anyio.create_task_group() as tasks:
        for port, tls in ((443, certificate), (80, None)):
            config = uvicorn.Config(
                app,
                log_level="critical",
                lifespan="off",
                http="h11",
                loop="asyncio",
                ssl_certfile=tls,
            )
            listening = socket.create_server((address, port), backlog=128)
            tasks.start_soon(uvicorn.Server(config)._serve, [listening])  # noqa: SLF001 - no signals


def _furnish(folder: Path, authority: Authority) -> None:
    """Make all addresses local, and have the system's resolver and authorities be ours."""
    for words in _ROUTES:
        subprocess.run(["ip", *words], check=True)
    bundle = folder / "authorities.pem"
    bundle.write_bytes(authority.certificate)
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    places = {
        bundle: Path("/etc/ssl/certs/ca-certificates.crt"),
        resolver: Path("/etc/resolv.conf"),
    }
    for source, place in places.items():
        subprocess.run(["mount", "--bind", source, os.path.realpath(place)], check=True)


if __name__ == "__main__":
    anyio.run(serve, Path(sys.argv[1]))
