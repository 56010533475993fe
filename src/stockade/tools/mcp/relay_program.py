"""Runs inside the wall as ``python3 -c``: MCP lines on standard streams to and from one URL.

The standard library alone. One thread per request, as each answer is a stream of its own.
"""

from __future__ import annotations

import json
import sys
import threading
import urllib.error
import urllib.request
from typing import Any

_VERSION = "io.modelcontextprotocol/protocolVersion"


class Relay:
    """What is known of one server: the session and revision it has agreed to."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._session = ""
        self._version = ""

    def post(self, message: dict[str, Any]) -> None:
        """Send one message and write what comes back for it."""
        try:
            self._post(message)
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", None) or error
            text = f"cannot reach {self._url}: {why}"
            if "id" in message:
                failure = {"code": -32003, "message": text}
                self._write({"jsonrpc": "2.0", "id": message["id"], "error": failure})
            print(text, file=sys.stderr, flush=True)

    def _post(self, message: dict[str, Any]) -> None:
        request = urllib.request.Request(  # noqa: S310 - inside the wall any scheme is as good
            self._url, json.dumps(message).encode(), self._headers(message)
        )
        try:
            answer = urllib.request.urlopen(request)  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            answer = error  # it may hold a JSON-RPC error
        with answer:
            self._session = answer.headers.get("Mcp-Session-Id") or self._session
            kind = answer.headers.get_content_type()
            if kind == "text/event-stream":
                self._read_events(answer)
            elif kind == "application/json":
                self._write(json.load(answer))
            elif answer.status >= 400:
                raise OSError(f"HTTP {answer.status}")

    def _headers(self, message: dict[str, Any]) -> dict[str, str]:
        params = message.get("params") or {}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Mcp-Method": str(message.get("method", "")),
        }
        if isinstance(name := params.get("name"), str) and name.isascii():
            headers["Mcp-Name"] = name
        if version := (params.get("_meta") or {}).get(_VERSION) or self._version:
            headers["MCP-Protocol-Version"] = version
        if self._session:
            headers["Mcp-Session-Id"] = self._session
        return headers

    def _read_events(self, lines: Any) -> None:
        data: list[str] = []
        for raw in lines:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif not line and data:
                text, data = "\n".join(data), []
                if text:
                    self._write(json.loads(text))

    def _write(self, message: Any) -> None:
        result = message.get("result") if isinstance(message, dict) else None
        if isinstance(result, dict) and isinstance(result.get("protocolVersion"), str):
            self._version = result["protocolVersion"]
        with self._lock:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()


def main(url: str) -> None:
    """Relay until standard input ends."""
    relay = Relay(url)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message and message["method"] != "initialize":
            threading.Thread(target=relay.post, args=(message,), daemon=True).start()
        else:
            relay.post(message)  # in order: what follows is only understood after it


if __name__ == "__main__":
    main(sys.argv[1])
