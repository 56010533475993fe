from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate
from tests.unit.tools.conftest import GRANTS, Tools

from stockade.tools.search_files import TOOL, _Answer

if TYPE_CHECKING:
    from stockade.sandbox.blocking import BlockingSandbox


def _found(data: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["path"].removeprefix("/workspace/"), one["line"]) for one in data["matches"]]


@pytest.mark.machine
def test_text_and_expressions_are_found(tools: Tools) -> None:
    tools.shell(
        "mkdir -p d/.git; printf 'a.c\\nabc\\n' > d/f.py; echo ABC > g.txt; echo a.c > d/.git/x"
    )
    assert _found(tools.done("search_files", pattern="a.c")) == [("d/f.py", 1)]
    assert _found(tools.done("search_files", pattern="a.c", regex=True)) == [
        ("d/f.py", 1),
        ("d/f.py", 2),
    ]
    both = tools.done("search_files", pattern="abc", ignore_case=True)
    assert _found(both) == [("g.txt", 1), ("d/f.py", 2)]
    assert both["complete"]
    assert _found(tools.done("search_files", pattern="abc", ignore_case=True, names="*.py")) == [
        ("d/f.py", 2)
    ]
    assert _found(tools.done("search_files", pattern="abc", path="d")) == [("d/f.py", 2)]
    assert "nothing found in 2 files" in tools("search_files", pattern="nowhere").text


@pytest.mark.machine
def test_only_granted_files_are_looked_into(box: BlockingSandbox, tools: Tools) -> None:
    tools.shell("mkdir open closed; echo word | tee open/f closed/f f; ln -s ../closed open/l")
    globs = ["/workspace", "/workspace/open/**"]
    some = Tools(box, {**GRANTS, "search_files": {"paths": globs}})
    data = some.done("search_files", pattern="word")
    assert (_found(data), data["files"]) == ([("open/f", 1)], 1)


@pytest.mark.machine
def test_what_is_not_looked_into_is_counted(tools: Tools) -> None:
    tools.shell("echo word > f; printf 'word\\0' > binary; truncate -s 5M large; ln f second")
    data = tools.done("search_files", pattern="word")
    assert (data["matches"], data["files"], data["skipped"]) == ([], 4, 4)


@pytest.mark.machine
def test_an_expression_that_never_ends_is_ended(box: BlockingSandbox, tools: Tools) -> None:
    tools.shell("echo aab > a; python3 -c 'print(\"a\" * 60)' > b")
    quick = Tools(box, {**GRANTS, "search_files": {**GRANTS["search_files"], "timeout": 5}})
    result = quick("search_files", pattern="^(a+)+b$", regex=True)
    assert result.data
    assert (_found(dict(result.data)), result.data["complete"]) == ([("a", 1)], False)
    assert "ended for its time" in result.text


@pytest.mark.machine
def test_more_matches_than_asked_for_are_told(tools: Tools) -> None:
    tools.shell("yes word | head -n 50 > f")
    data = tools.done("search_files", pattern="word", most=3)
    assert (len(data["matches"]), data["complete"]) == (3, False)
    assert "not a regular expression" in tools.refused("search_files", pattern="((", regex=True)


_LINES = st.dictionaries(
    st.sampled_from(["path", "line", "text", "files", "skipped", "complete", "x"]),
    st.none() | st.booleans() | st.integers() | st.text() | st.floats() | st.lists(st.text()),
)


@given(st.lists(_LINES), st.booleans())
def test_whatever_the_machine_answers_is_a_result(lines: list[dict[str, Any]], late: bool) -> None:
    answer = _Answer(5, 200)
    for line in lines:
        answer.take(line)
    result = answer.result(late=late)
    assert TOOL.description.result
    validate(result.data, TOOL.description.result)
    assert len(result.text.encode()) < 600
