"""What it costs to go through Envoy: latency, requests per second and memory, in JSON.

    .venv/bin/python bench/egress.py [SECONDS]

A client, an upstream server with TLS and what is measured share this machine. Each way is measured
several times in turn, since machines change their speed. Where proxy.py is installed (pip install
proxy.py), it is measured beside Envoy, intercepting TLS in the same way.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import anyio

from stockade.egress.http.authority import Authority
from stockade.egress.http.check import Direct, HttpAnswer, HttpCheck
from stockade.egress.http.proxy import HttpProxy
from stockade.egress.http.proxyprotocol import header

HOST = "localhost"
REQUEST = f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n" + b"x" * 128
INVENTED = IPv4Address("198.18.0.1")
ROUNDS, CONCURRENCY = 3, 32

Opener = Callable[[], Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def upstream(certificate: str, port: Any) -> None:
    """Answer every request with the same 128 bytes, by TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(RESPONSE)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(["http/1.1"])
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context, backlog=1024)
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(run())


async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    """Make one request on an open connection; how long it took, in milliseconds."""
    started = time.perf_counter()
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    await reader.readexactly(128)
    return (time.perf_counter() - started) * 1000


async def latency(open_connection: Opener, seconds: float) -> list[float]:
    """Requests one after the other on one connection."""
    reader, writer = await open_connection()
    end = time.perf_counter() + seconds
    await one(reader, writer)
    times = []
    while time.perf_counter() < end:
        times.append(await one(reader, writer))
    writer.close()
    return times


async def throughput(open_connection: Opener, seconds: float) -> float:
    """Requests per second of ``CONCURRENCY`` connections at once."""
    pairs = [await open_connection() for _ in range(CONCURRENCY)]
    count = 0
    end = time.perf_counter() + seconds

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        while time.perf_counter() < end:
            await one(reader, writer)
            count += 1

    started = time.perf_counter()
    await asyncio.gather(*(run(*pair) for pair in pairs))
    took = time.perf_counter() - started
    for _, writer in pairs:
        writer.close()
    return count / took


def in_a_process(work: Any, way: tuple[Any, ...], seconds: float) -> Any:
    """Run the client beside what it measures, not within."""
    return asyncio.run(work(lambda: connect(*way), seconds))


async def connect(
    kind: str, where: Any, authority: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a TLS connection: directly, through the proxy's socket, or by CONNECT."""
    context = ssl.create_default_context(cadata=authority)
    context.set_alpn_protocols(["http/1.1"])
    loop = asyncio.get_running_loop()
    if kind == "envoy":
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(where)
        raw.sendall(header(IPv6Address(b"\xfd" + os.urandom(15)), INVENTED, 443, HOST))
    else:
        raw = socket.create_connection(("127.0.0.1", where[0]))
        if kind == "connect":
            raw.sendall(f"CONNECT {HOST}:{where[1]} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert b" 200 " in await loop.run_in_executor(None, raw.recv, 65536)
    raw.setblocking(False)
    return await asyncio.open_connection(sock=raw, ssl=context, server_hostname=HOST)


def resident(pid: int | None) -> dict[str, float]:
    """A process's memory in MiB: all that is resident, and what it shares with nobody."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    values = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    private = values["Private_Clean"] + values["Private_Dirty"]
    return {"resident": round(values["Rss"] / 1024, 1), "private": round(private / 1024, 1)}


def processor_time(pid: int | None) -> float:
    """Seconds of processor time that a process has used (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def intercepting(
    folder: Path, authority: Authority, ca_key: Path, upstream_ca: Path
) -> AsyncIterator[int | None]:
    """proxy.py, if it is there, with its interception of TLS; its port."""
    program = shutil.which("proxy", path=str(Path(sys.executable).parent))
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    key = folder / "signing.pem"
    await anyio.run_process(["openssl", "genrsa", "-out", str(key), "2048"])
    (folder / "ca.pem").write_bytes(authority.certificate)
    process = await anyio.open_process(
        [
            *(program, "--hostname", "127.0.0.1", "--port", str(port), "--log-level", "ERROR"),
            *("--ca-key-file", str(ca_key), "--ca-cert-file", str(folder / "ca.pem")),
            *("--ca-signing-key-file", str(key), "--ca-file", str(upstream_ca)),
            *("--num-workers", "2", "--num-acceptors", "1", "--ca-cert-dir", str(folder)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with anyio.fail_after(20):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    await anyio.sleep(0.1)
        yield port
    finally:
        process.terminate()
        await process.wait()
        await process.aclose()


async def measure(folder: Path, seconds: float) -> dict[str, Any]:
    authority, hosts = Authority.load(folder / "state"), Authority.load(folder / "hosts")
    ours, theirs = authority.certificate.decode(), hosts.certificate.decode()
    upstream_ca, certificate = folder / "hosts.pem", folder / "upstream.pem"
    upstream_ca.write_text(theirs)
    leaf = hosts.issue(HOST)
    certificate.write_bytes(leaf.key + leaf.certificate)
    spawning = multiprocessing.get_context("spawn")
    port = spawning.Value("i", 0)
    server = spawning.Process(target=upstream, args=(str(certificate), port), daemon=True)
    server.start()
    with anyio.fail_after(20):
        while not port.value:  # noqa: ASYNC110 - another process's
            await anyio.sleep(0.05)

    async def judge(check: HttpCheck) -> HttpAnswer:
        del check
        return Direct(IPv4Address("127.0.0.1"), port.value)

    key = folder / "state" / "egress-ca.key"
    async with (
        HttpProxy(judge, authority=authority, folder=folder, upstream_ca=upstream_ca) as proxy,
        intercepting(folder, authority, key, upstream_ca) as other,
    ):
        first = await proxy.connect(IPv6Address("fd00::1"), INVENTED, 443, HOST)
        doors = next(folder.glob("egress-*/doors"))  # noqa: ASYNC240 - once
        ways: dict[str, tuple[Any, ...]] = {
            "direct": ("direct", (port.value,), theirs),
            "envoy": ("envoy", str(doors), ours),
        }
        if other:
            ways["proxy.py"] = ("connect", (other, port.value), ours)
        times: dict[str, list[float]] = {name: [] for name in ways}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        spent: dict[str, list[float]] = {"envoy": [], "authorizer": []}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                try:
                    times[name] += await run(latency, way, seconds)
                    before = processor_time(proxy.pid), processor_time(os.getpid())
                    rates[name].append(await run(throughput, way, seconds))
                    if name == "envoy":
                        after = processor_time(proxy.pid), processor_time(os.getpid())
                        count = rates[name][-1] * seconds
                        spent["envoy"].append((after[0] - before[0]) / count)
                        spent["authorizer"].append((after[1] - before[1]) / count)
                except Exception as error:  # the other one may fail
                    if name != "proxy.py":
                        raise
                    print(f"proxy.py: {error!r}", file=sys.stderr)
        await first.aclose()
        memory = {"1 session": resident(proxy.pid)}
        pairs = [await connect(*ways["envoy"]) for _ in range(200)]
        await asyncio.gather(*(one(*pair) for pair in pairs))
        memory["200 sessions"] = resident(proxy.pid)
        for _, writer in pairs:
            writer.close()
    server.terminate()
    processor = {name: round(statistics.median(of) * 1000, 3) for name, of in spent.items()}
    return report(times, rates) | {
        "processor_ms_per_request": processor,
        "envoy_memory_mib": memory,
    }


async def run(work: Any, way: tuple[Any, ...], seconds: float) -> Any:
    return await anyio.to_process.run_sync(in_a_process, work, way, seconds)


def report(times: dict[str, list[float]], rates: dict[str, list[float]]) -> dict[str, Any]:
    base = statistics.median(times["direct"])
    ways: dict[str, Any] = {}
    for name, measured in times.items():
        if not rates[name]:
            ways[name] = "failed"
            continue
        cuts = statistics.quantiles(measured, n=100)
        ways[name] = {
            "latency_ms": {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3)},
            "added_p50_ms": round(cuts[49] - base, 3),
            "added_p99_ms": round(cuts[98] - statistics.quantiles(times["direct"], n=100)[98], 3),
            "requests_per_second": round(statistics.median(rates[name])),
        }
    return {"ways": ways, "connections": CONCURRENCY, "processors": os.cpu_count()}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(Path(folder), seconds)), indent=2))


if __name__ == "__main__":
    main()
