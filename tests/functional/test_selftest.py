"""The self-test as it is shipped: it finds the wall whole, and a hole where there is one."""

from __future__ import annotations

import json
import os

import pytest
from tests.functional.conftest import Stockade

pytestmark = [
    pytest.mark.machine,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
]


def test_nothing_gets_past_the_egress_wall(stockade: Stockade) -> None:
    done = stockade("selftest", "egress", "--json")
    report = json.loads(done.stdout)
    assert [one for one in report["results"] if one["got_through"]] == []
    assert report["unaccounted"] == report["missing"] == []
    assert all(report["controls"].values()), report["controls"]
    assert len(report["results"]) >= 150
    assert (report["contained"], done.returncode) == (True, 0)


def test_a_wall_with_holes_is_told(stockade: Stockade) -> None:
    done = stockade(
        *("selftest", "egress", "--widened", "--json"),
        *("--only", "raw address", "--only", "path"),
    )
    report = json.loads(done.stdout)
    results = report["results"]
    through = {f"{one['category']}: {one['name']}" for one in results if one["got_through"]}
    assert through >= {"raw address: port 80", "path: plain"}
    assert any("93.184.216.66" in what for what in report["unaccounted"])
    assert all(report["controls"].values())
    assert (report["contained"], done.returncode) == (False, 1)
