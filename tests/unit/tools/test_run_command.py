from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.tools.conftest import GRANTS, Tools

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox

pytestmark = pytest.mark.machine


def test_a_command_is_run_in_the_workspace(tools: Tools) -> None:
    code = "import os, sys; print(os.getcwd()); print('oops', file=sys.stderr); sys.exit(3)"
    result = tools("run_command", argv=["python3", "-c", code])
    assert result.data
    assert {**result.data, "seconds": 0} == {
        "exit_code": 3,
        "reason": "",
        "seconds": 0,
        "stdout": "/workspace\n",
        "stderr": "oops\n",
    }
    assert result.text == "exit code 3\n--- stdout\n/workspace\n\n--- stderr\noops\n"
    assert not result.failed


@pytest.mark.parametrize(
    "argv", [["sh", "-c", "id"], ["cat", "a", "b"], ["cat;id"], ["/bin/cat", "a"], ["CAT", "a"]]
)
def test_what_is_not_listed_is_refused_with_what_is(tools: Tools, argv: list[str]) -> None:
    assert "cat *" in tools.refused("run_command", argv=argv)


def test_no_shell_sees_the_words(tools: Tools) -> None:
    result = tools("run_command", argv=["cat", "$(id);*|x"])
    assert result.data
    assert "'$(id);*|x': No such file" in result.data["stderr"]


def test_a_program_that_is_not_there_is_told(tools: Tools) -> None:
    assert tools.done("run_command", argv=["nothing-like-it"])["exit_code"] == 127


def test_output_is_cut_in_its_middle(box: BlockingSandbox, tools: Tools) -> None:
    grant = {**GRANTS["run_command"], "output": 100}
    small = Tools(box, {**GRANTS, "run_command": grant})
    code = "print('begin' + 'x' * 1000000 + 'end')"
    said = small.done("run_command", argv=["python3", "-c", code])["stdout"]
    assert said.startswith("begin")
    assert said.endswith("end\n")
    assert "[... 999959 bytes left out ...]" in said


def test_a_command_that_takes_too_long_is_ended_with_what_it_said(
    box: BlockingSandbox, tools: Tools
) -> None:
    tools.shell("echo said > f; mkfifo nobody-writes")
    quick = Tools(box, {"run_command": {"commands": ["cat **"], "timeout": 5}})
    result = quick("run_command", argv=["cat", "f", "nobody-writes"])
    assert result.failed
    assert result.data
    assert (result.data["exit_code"], result.data["stdout"]) == (124, "said\n")
    assert "ended after 5s" in result.text
