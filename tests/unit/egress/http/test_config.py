"""The whole configuration, as Envoy itself judges it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from stockade.egress.http.authority import Authority
from stockade.egress.http.config import Bounds, Sockets, bootstrap
from stockade.egress.http.envoy import find


@pytest.mark.parametrize("courier", [None, Path("courier")])
def test_envoy_accepts_it(tmp_path: Path, courier: Path | None) -> None:
    (tmp_path / "ca.pem").write_bytes(Authority.load(tmp_path / "state").certificate)
    sockets = Sockets(
        doors=tmp_path / "doors",
        authorizer=tmp_path / "authorizer",
        certificates=tmp_path / "certificates",
        courier=courier and tmp_path / courier,
    )
    configuration = bootstrap(sockets, tmp_path / "ca.pem", Bounds())
    (tmp_path / "envoy.json").write_text(json.dumps(configuration))
    validated = subprocess.run(
        [find(), "--mode", "validate", "--config-path", tmp_path / "envoy.json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert validated.returncode == 0, validated.stderr
    assert "admin" not in configuration
    assert "socket_address" not in json.dumps(configuration)
    assert "deprecat" not in validated.stderr.lower()
