"""The profiles in ``profiles``: each is read, is free of warnings, and decides as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from stockade.cli.parser import Parser
from stockade.cli.policy import check
from stockade.cli.profiles import compiled, read
from stockade.policy.actiontext import parse_action

_FOLDER = Path(__file__).parents[2] / "profiles"

_TABLE = {
    "python-run": {
        "tool:write_file path=/tmp/work/x.py content=x": True,
        "tool:run_command -- python3 /tmp/work/x.py": True,
        "tool:run_command -- python3 -c 1": False,
        "tool:run_command -- python3 /tmp/work/x.py more": False,
        "tool:run_command -- python3 /tmp/work/../x.py": False,
        "tool:read_file path=/etc/passwd": False,
        "tool:write_file path=/tmp/other content=x": False,
        "lookup:pypi.org": False,
    },
    "code-review": {
        "tool:read_file path=/workspace/src/a.py": True,
        "tool:search_files path=/workspace pattern=x": True,
        "tool:git_log": True,
        "tool:write_file path=/workspace/a.py content=x": False,
        "tool:edit_file path=/tmp/a.py old=x new=y": False,
        "tool:run_tests": False,
        "tool:read_file path=/workspace/../etc/passwd": False,
        "http:GET https://api.github.com/": False,
    },
    "codefix": {
        "tool:edit_file path=/workspace/src/a.py old=x new=y": True,
        "tool:write_file path=/workspace/tests/test_a.py content=x": True,
        "tool:run_tests": True,
        "tool:make_patch": True,
        "tool:write_file path=/workspace/.git/hooks/pre-commit content=x": False,
        "tool:run_command -- sh": False,
        "lookup:api.github.com": False,
    },
    "data-analysis": {
        "tool:read_file path=/data/a.csv": True,
        "tool:write_file path=/tmp/results/plot.py content=x": True,
        "tool:run_command -- python3 /tmp/results/plot.py": True,
        "tool:write_file path=/data/a.csv content=x": False,
        "tool:run_command -- python3 /data/evil.py": False,
        "connect:tcp example.org:443": False,
    },
    "web-research": {
        "http:GET https://docs.python.org/3/library/": True,
        "http:HEAD https://en.wikipedia.org/wiki/Stockade": True,
        "http:GET https://pypi.org/pypi/anyio/json": True,
        "http:POST https://docs.python.org/3/": False,
        "http:GET https://en.wikipedia.org/w/index.php": False,
        "http:GET https://docs.python.org.evil.org/": False,
        "http:GET http://docs.python.org/3/": False,
        "connect:tcp pypi.org:443": False,
        "tool:write_file path=/tmp/notes/a.md content=x": True,
        "tool:write_file path=/workspace/a.md content=x": False,
    },
}


def test_each_profile_is_in_the_table() -> None:
    assert {path.stem for path in _FOLDER.glob("*.yaml")} == set(_TABLE)


@pytest.mark.parametrize("name", _TABLE)
def test_it_has_no_warnings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("check", "")
    check.add_arguments(parser)
    assert check.run(parser.parse([str(_FOLDER / f"{name}.yaml"), "--strict"])) == 0
    assert capsys.readouterr().out.endswith(": ok\n")


@pytest.mark.parametrize("name", _TABLE)
def test_it_allows_its_work_and_no_more(name: str) -> None:
    policy = compiled(read(_FOLDER / f"{name}.yaml"))
    for text, allowed in _TABLE[name].items():
        assert policy.decide(parse_action(text)).allowed is allowed, text
