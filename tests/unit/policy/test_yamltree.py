from __future__ import annotations

import time

import pytest

from stockade.policy.yamltree import MAX_DEPTH, MAX_PROBLEMS, Problem, position_of, read_tree


def _problems(text: str) -> list[tuple[int, int, str]]:
    return [(p.line, p.column, p.message) for p in read_tree(text).problems]


def test_a_tree_knows_where_everything_stands() -> None:
    tree = read_tree("a: 1\nb:\n  - {c: x}\n")
    assert tree.problems == []
    assert tree.data == {"a": 1, "b": [{"c": "x"}]}
    assert tree.keys["a",] == (1, 1)
    assert tree.values["b", 0, "c"] == (3, 9)
    assert tree.position(("b", 0, "nothing", "there")) == (3, 5)
    assert read_tree("").position(("a",)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", "x"),
        ("'no'", "no"),
        ('"010"', "010"),
        ("|\n  no\n", "no\n"),
        ("1", 1),
        ("-1", -1),
        ("0", 0),
        ("1.5", 1.5),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("y", "y"),
        ("512MiB", "512MiB"),
        ("10m", "10m"),
        ("1e3", "1e3"),
        ("0o17", "0o17"),
    ],
)
def test_what_has_one_reading_is_read(text: str, value: object) -> None:
    tree = read_tree(f"a: {text}")
    assert tree.problems == []
    assert tree.data == {"a": value}


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        *((word, "true or false") for word in ["no", "yes", "on", "off", "NO", "Off", "True"]),
        *((word, "another number") for word in ["010", "0x1F", "0b1", "1_000", "+1", "10:30"]),
        *((word, "another number") for word in ["190:20:30", "1.", ".5", "1.0e+3", ".inf", ".NaN"]),
        ("1" * 30, "another number"),
        ("2026-11-01", "a date"),
        ("2026-11-01 10:00:00", "a date"),
        ("=", "more than text"),
        ("<<", "more than text"),
    ],
)
def test_what_has_two_readings_must_be_quoted(text: str, reading: str) -> None:
    ((line, column, message),) = _problems(f"a: {text}")
    assert (line, column) == (1, 4)
    assert f"means {reading} to some readers of YAML" in message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: *x", "alias '*x'"),
        ("a: &x 1", "anchor '&x'"),
        ("a: !!str 1", "tag "),
        ("a: !x {}", "tag '!x'"),
        ("a: ! 1", "tag '!'"),
        ("a: !!python/object/apply:os.system ['true']", "tag "),
        ("!!map {}", "tag "),
    ],
)
def test_references_and_types_are_refused(text: str, what: str) -> None:
    ((line, _, message),) = _problems(text)
    assert line == 1
    assert message.startswith(what)
    assert message.endswith("is not accepted in a profile; write the value itself")


def test_a_bomb_of_aliases_stays_small() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    started = time.perf_counter()
    problems = _problems("\n".join(["a0: &a0 [x, x]", *levels]))
    assert len(problems) == MAX_PROBLEMS
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "[{a: "])
def test_deep_nesting_is_refused_without_being_walked(opening: str) -> None:
    started = time.perf_counter()
    ((_, _, message),) = _problems(opening * 40_000)
    assert message == f"nested more than {MAX_DEPTH} levels deep"
    assert time.perf_counter() - started < 2


def test_the_deepest_nesting_that_is_read() -> None:
    assert _problems("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    assert _problems("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) != []


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a: 1\nb: 2\na: 3", (3, 1), "key 'a' is given twice, first on line 1"),
        ("a: 1\n'a': 2", (2, 1), "key 'a' is given twice, first on line 1"),
        ("1: x", (1, 1), "key 1 must be text; put it in quotes"),
        ("null: x", (1, 1), "key nothing must be text; put it in quotes"),
        ("? [a]\n: x", (1, 3), "a key must be text"),
        ("? {a: b}\n: x", (1, 3), "a key must be text"),
        ("--- {}\n--- {}", (2, 1), "a second document begins here; a profile is one document"),
        ("a: b\0", (1, 5), "character U+0000 is not allowed"),
        ("a: b\nc: \x1b", (2, 4), "character U+001B is not allowed"),
        ("a: \ud800", (1, 4), "character U+D800 is not allowed"),
        (r'a: "\UFFFFFFFF"', (1, 7), "not valid YAML: a number in it is out of range"),
        (r'a: "\U00110000"', (1, 7), "not valid YAML: a number in it is out of range"),
        (f"%YAML 1.{'9' * 5000}\n---\n", (1, 9), "not valid YAML: a number in it is out of range"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_problems_have_their_place(text: str, where: tuple[int, int], message: str) -> None:
    assert _problems(text) == [(*where, message)]


@pytest.mark.parametrize(
    "text", ["a: [", "a: b: c", "\ta: b", "a: 'x", "@", "a: %x", "%TAG ! !\n%TAG ! !\n---"]
)
def test_broken_yaml_is_a_problem_with_a_line(text: str) -> None:
    ((line, column, message),) = _problems(text)
    assert line >= 1
    assert column >= 1
    assert message.startswith("not valid YAML: ")
    assert message.isprintable()


def test_long_complaints_of_the_parser_are_cut() -> None:
    ((_, _, message),) = _problems(f"!{'x' * 100_000}! y")
    assert len(message) < 200


def test_all_problems_are_found_up_to_a_bound() -> None:
    assert len(_problems("a: no\nb: 010\nc: *x\na: 1")) == 4
    assert len(_problems("a: no\n" * 1000)) == MAX_PROBLEMS


def test_a_second_value_of_a_key_is_read_for_its_own_problems() -> None:
    assert [line for line, _, _ in _problems("a: 1\na:\n  - no\n")] == [2, 3]


def test_what_could_not_be_read_is_remembered() -> None:
    tree = read_tree("a: [x, no]\non: 1\n")
    assert tree.data == {"a": ["x", None], "on": 1}
    assert {("a", 1), ("on",)} <= tree.broken


def test_no_part_of_a_document_that_breaks_off_is_kept() -> None:
    assert read_tree("a: 1\nb: [").data is None


def test_positions_count_from_one() -> None:
    assert position_of("ab\ncd", 0) == (1, 1)
    assert position_of("ab\ncd", 4) == (2, 2)


def test_problems_sort_by_place() -> None:
    assert min([Problem(2, 1, "a"), Problem(1, 9, "b")]).message == "b"
