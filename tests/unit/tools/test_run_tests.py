from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.tools.conftest import GRANTS, Tools

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine

_PYTEST = """\
import pytest, shop

def test_total():
    assert shop.total([1, 2]) == 3

def test_fine():
    print("said")

@pytest.mark.skip
def test_later(): ...

@pytest.mark.xfail
def test_known():
    assert False

@pytest.fixture
def broken():
    raise RuntimeError("no fixture")

def test_set_up(broken): ...

def test_in_a_library():
    import json
    json.loads("{")
"""
_UNITTEST = """\
import unittest, shop

class Totals(unittest.TestCase):
    def test_total(self):
        self.assertEqual(shop.total([1, 2]), 3)
    def test_error(self):
        raise RuntimeError("boom")
    def test_parts(self):
        for n in range(3):
            with self.subTest(n=n):
                self.assertNotEqual(n, 1)
    @unittest.skip("not now")
    def test_later(self): ...
    @unittest.expectedFailure
    def test_known(self):
        self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): ...
"""


def _project(tools: Tools, tests: str) -> None:
    tools.box.files.write("/workspace/shop.py", "def total(prices):\n    return sum(prices) + 1\n")
    tools.box.files.make_folder("/workspace/tests")
    tools.box.files.write("/workspace/tests/test_shop.py", tests)
    tools.box.files.write("/workspace/tests/test_broken.py", "import nothing_like_it\n")


def _counts(data: dict[str, Any]) -> tuple[int, ...]:
    return tuple(data[name] for name in ("passed", "failed", "error", "skipped"))


def _places(data: dict[str, Any]) -> set[tuple[str, int]]:
    return {(one["file"], one["line"]) for one in data["failures"]}


def test_pytest_is_found_and_its_failures_have_places(tools: Tools) -> None:
    _project(tools, _PYTEST)
    result = tools("run_tests")
    assert result.data
    assert not result.failed
    data = dict(result.data)
    assert (data["framework"], data["success"], data["exit_code"]) == ("pytest", False, 1)
    assert _counts(data) == (1, 2, 2, 2)
    where = "tests/test_shop.py"
    assert _places(data) == {("tests/test_broken.py", 1), (where, 4), (where, 18), (where, 22)}
    [wrong] = [one for one in data["failures"] if one["test"].endswith("::test_total")]
    assert wrong["message"].startswith("assert 4 == 3")
    assert "tests/test_shop.py:4: " in result.text
    assert ".pytest_cache" not in tools.shell("ls -A")


def test_unittest_is_run_when_asked_for(tools: Tools) -> None:
    _project(tools, _UNITTEST)
    data = tools.done("run_tests", framework="unittest")
    assert _counts(data) == (1, 3, 2, 1)
    assert ("tests/test_broken.py", 1) in _places(data)
    assert {("tests/test_shop.py", line) for line in (5, 7, 11)} <= _places(data)


def test_unittest_is_run_where_there_is_no_pytest(tools: Tools) -> None:
    tools.box.files.write(
        "/workspace/test_a.py", _UNITTEST.replace("import unittest, shop", "import unittest")
    )
    tools.box.files.write("/workspace/pytest.py", "raise ImportError('hidden')\n")
    data = tools.done("run_tests")
    assert data["framework"] == "unittest"


def test_what_never_ends_is_ended(box: BlockingSandbox, tools: Tools) -> None:
    tools.box.files.write("/workspace/test_a.py", "import time; time.sleep(600)\n")
    quick = Tools(box, {**GRANTS, "run_tests": {"timeout": 2}})
    result = quick("run_tests")
    assert result.failed
    assert result.data
    assert (result.data["success"], result.data["exit_code"]) == (False, 124)
    assert "ended after 2s" in result.text


def test_what_cannot_be_run_is_told(tools: Tools) -> None:
    assert "name the `framework`" in tools.refused("run_tests")
    result = tools("run_tests", framework="go")
    assert result.failed
    assert "this image has no go" in result.text
    assert "targets[0]" in tools.refused("run_tests", targets=["--collect-only"])
