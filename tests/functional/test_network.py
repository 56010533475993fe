"""What a machine may reach, on an internet of our own: real Envoy, TLS, resolver and programs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.functional.conftest import Stockade
from tests.functional.internet import internet

from stockade.selftest.hosts import TCP_PORT
from stockade.selftest.internet import Internet

pytestmark = [
    pytest.mark.machine,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
]

SECRET = "s3cr3t-of-the-upstream-0123456789"
PROFILE = f"""
version: 1
name: networked
network:
  - {{host: api.example.com, paths: ["/public/**", "/redirect", "/bytes/*"]}}
  - {{host: api.example.com, methods: [POST], paths: ["/given/**"], credential: key}}
  - {{host: db.example.com, port: {TCP_PORT}, protocol: tcp}}
  - {{host: loopback.example.com, port: 80, protocol: tcp}}
  - {{host: metadata.example.com, port: 80, protocol: http}}
  - {{host: private.example.com, protocol: https}}
credentials:
  key: {{from: "env:TEST_KEY"}}
models:
  - {{provider: openai, models: ["gpt-4o*"], credential: key}}
"""

# Runs in the machine: each attempt is a line of JSON. No proxy is configured anywhere.
_PROGRAM = r"""
import json, os, socket, ssl, sys, urllib.error, urllib.request

def http(method, url, body=None, **headers):
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}
    except OSError as error:
        return {"error": str(error)}

def tcp(host, port, data=b"hello"):
    try:
        with socket.create_connection((host, port), timeout=30) as program:
            program.sendall(data)
            return {"body": program.recv(100).decode()}
    except OSError as error:
        return {"error": str(error)}

def udp(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
        program.settimeout(5)
        try:
            program.connect((host, port))
            program.send(b"out")
            return {"body": program.recv(100).decode()}
        except OSError as error:
            return {"error": str(error)}

def raw():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    except OSError as error:
        return {"error": str(error)}

for name, arguments in json.load(sys.stdin):
    arguments = [a.encode() if name == "http" and i == 2 else a for i, a in enumerate(arguments)]
    print(json.dumps(globals()[name](*arguments)), flush=True)
"""

ATTEMPTS: dict[str, list[Any]] = {
    "granted": ["http", ["GET", "https://api.example.com/public/x?q=1"]],
    "other path": ["http", ["GET", "https://api.example.com/private/x"]],
    "other method": ["http", ["DELETE", "https://api.example.com/public/x"]],
    "path trick": ["http", ["GET", "https://api.example.com/public/%2e%2e/private"]],
    "plain": ["http", ["GET", "http://api.example.com/public/x"]],
    "other host": ["http", ["GET", "https://other.example.com/public/x"]],
    "redirect": ["http", ["GET", "https://api.example.com/redirect"]],
    "by address": ["http", ["GET", "http://93.184.216.34/public/x"]],
    "metadata address": ["http", ["GET", "http://169.254.169.254/latest/meta-data"]],
    "name of metadata": ["http", ["GET", "http://metadata.example.com/latest"]],
    "name of a private address": ["http", ["GET", "https://private.example.com/"]],
    "with credential": ["http", ["POST", "https://api.example.com/given/x", "data"]],
    "tcp": ["tcp", ["db.example.com", TCP_PORT]],
    "tcp to another port": ["tcp", ["db.example.com", 22]],
    "tcp to evil": ["tcp", ["93.184.216.66", 443]],
    "tcp to loopback": ["tcp", ["loopback.example.com", 80]],
    "tcp by IPv6": ["tcp", ["2606:4700::1111", 443]],
    "udp": ["udp", ["93.184.216.66", 443]],
    "ntp": ["udp", ["93.184.216.66", 123]],
    "icmp": ["raw", []],
    "tunnel": ["tcp", ["data-of-mine.evil.example.net", 443]],
}


class Run:
    """One session that made all attempts: what each gave, what hosts saw, what was recorded."""

    def __init__(self, answers: list[dict[str, Any]], net: Internet, journal: Path) -> None:
        self.answers = dict(zip(ATTEMPTS, answers, strict=True))
        self.seen = net.seen()
        self.hosts = net.hosts_seen()
        self.journal = [json.loads(line) for line in journal.read_text().splitlines()]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    with internet(tmp_path_factory.mktemp("internet")) as running:
        yield running


def start(
    stockade: Stockade, net: Internet, profile: Path, *words: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*net.prefix, stockade.program, "run", "--profile", str(profile), *words],
        env={**stockade.environment, "TEST_KEY": SECRET},
        input=stdin,
        capture_output=True,
        timeout=250,
        check=False,
    )


@pytest.fixture(scope="module")
def run(net: Internet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    own = {"XDG_RUNTIME_DIR": str(runtime), "STOCKADE_STATE_DIR": str(folder / "state")}
    stockade = Stockade(_program(), own)
    (folder / "profile.yaml").write_text(PROFILE)
    (folder / "attempts.py").write_text(_PROGRAM)
    result = start(
        stockade,
        net,
        folder / "profile.yaml",
        *("--file", f"{folder / 'attempts.py'}:/attempts.py"),
        *("--", "sh", "-c", "python3 /attempts.py; env; cat /proc/*/cmdline | tr '\\0' ' '"),
        stdin=json.dumps(list(ATTEMPTS.values())).encode(),
    )
    assert result.returncode == 0, result.stderr.decode()
    lines = result.stdout.decode().splitlines()
    assert SECRET not in result.stdout.decode() + result.stderr.decode()
    [journal] = (folder / "state" / "journals").iterdir()
    for file in (folder / "state").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
    return Run([json.loads(line) for line in lines[: len(ATTEMPTS)]], net, journal)


def _program() -> str:
    import sys  # noqa: PLC0415

    return str(Path(sys.executable).with_name("stockade"))


def test_a_granted_request_arrives_as_it_was_sent(run: Run) -> None:
    answer = run.answers["granted"]
    assert answer["status"] == 200, answer
    said = json.loads(answer["body"])
    assert (said["host"], said["method"], said["path"]) == ("api.example.com", "GET", "/public/x")
    assert {name for name in said["headers"] if name.startswith(("x-", "via"))} == set()


@pytest.mark.parametrize("name", ["other path", "other method", "name of a private address"])
def test_what_is_not_granted_is_answered_with_the_reason(run: Run, name: str) -> None:
    answer = run.answers[name]
    assert answer["status"] == 403, answer
    body = json.loads(answer["body"])
    assert body["error"] == "refused"
    assert body["rule"]
    assert body["reason"]


def test_a_path_that_can_be_read_in_two_ways_is_refused(run: Run) -> None:
    assert run.answers["path trick"]["status"] in (400, 403), run.answers["path trick"]


@pytest.mark.parametrize(
    "name",
    [
        *("plain", "other host", "by address", "metadata address", "tcp to another port"),
        *("tcp to evil", "tcp to loopback", "tcp by IPv6", "udp", "ntp", "icmp", "tunnel"),
    ],
)
def test_what_has_no_grant_goes_nowhere(run: Run, name: str) -> None:
    assert "error" in run.answers[name], run.answers[name]


def test_a_redirect_is_not_followed_into_what_is_not_granted(run: Run) -> None:
    assert "error" in run.answers["redirect"], run.answers["redirect"]


def test_a_granted_name_cannot_lead_to_metadata(run: Run) -> None:
    assert run.answers["name of metadata"]["status"] == 403, run.answers["name of metadata"]


def test_only_granted_hosts_have_seen_a_byte(run: Run) -> None:
    assert run.hosts == {"api.example.com", "db.example.com"}


def test_only_granted_names_were_ever_asked_for(run: Run) -> None:
    asked = {one["host"] for one in run.seen if one["kind"] == "question"}
    granted = {"api", "db", "loopback", "metadata", "private"}
    assert asked <= {f"{name}.example.com" for name in granted}


def test_tcp_goes_both_ways(run: Run) -> None:
    assert run.answers["tcp"] == {"body": "hello"}


def test_a_credential_is_given_outside_and_its_echo_is_not_brought_back(run: Run) -> None:
    answer = run.answers["with credential"]
    assert answer["status"] == 200, answer
    [request] = [one for one in run.seen if one.get("path") == "/given/x"]
    assert request["headers"]["authorization"] == f"Bearer {SECRET}"
    assert json.loads(answer["body"])["headers"]["authorization"] == f"Bearer {'*' * len(SECRET)}"


def test_every_attempt_is_on_record(run: Run) -> None:
    decisions = [one for one in run.journal if one["kind"] == "decision"]
    said = {
        (one["action"]["kind"], one["action"].get("host", ""), one["verdict"]["effect"])
        for one in decisions
    }
    assert {
        ("http", "api.example.com", "allow"),
        ("http", "api.example.com", "deny"),
        ("connect", "db.example.com", "allow"),
        ("connect", "93.184.216.66", "deny"),
        ("connect", "2606:4700::1111", "deny"),
        ("connect", "169.254.169.254", "deny"),
        ("lookup", "data-of-mine.evil.example.net", "deny"),
        ("lookup", "other.example.com", "deny"),
    } <= said


def test_an_audit_lets_public_hosts_be_reached_and_records_what_would_be_denied(
    stockade: Stockade, net: Internet, tmp_path: Path
) -> None:
    profile = tmp_path / "empty.yaml"
    profile.write_text("version: 1\nname: empty\n")
    program = """if True:
        import urllib.error, urllib.request
        for url in ("https://other.example.com/a", "http://169.254.169.254/", "http://10.0.0.5/"):
            try:
                print(urllib.request.urlopen(url).status)
            except urllib.error.HTTPError as error:
                print(error.status)
    """
    before = len(net.seen())
    result = start(stockade, net, profile, "--audit-only", "--", "python3", "-c", program)
    assert result.stdout == b"200\n403\n403\n", result.stderr.decode()
    seen = net.seen()[before:]
    reached = {one["host"] for one in seen if one["kind"] in ("request", "connection")}
    assert reached == {"other.example.com"}
    # Nor was a packet sent elsewhere, but to the host's own resolver.
    packets = {one["host"] for one in seen if one["kind"] == "packet"}
    assert packets <= {"93.184.216.35", "127.0.0.1"}
    [journal] = (tmp_path / "state" / "journals").iterdir()
    requests = [
        one
        for one in map(json.loads, journal.read_text().splitlines())
        if one["action"]["kind"] == "http"
    ]
    request = requests[0]
    assert (request["action"]["path"], request["verdict"]["effect"]) == ("/a", "deny")
    assert request["enforced"] is False
