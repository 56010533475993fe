from __future__ import annotations

import pytest
from pydantic import ValidationError

from stockade.model.errors import UsageError
from stockade.model.limits import Limits
from stockade.model.quantities import GIB, MIB, TIB


def test_every_limit_but_processor_time_has_a_bound_by_default() -> None:
    limits = Limits()
    assert (limits.cpus, limits.processes, limits.wall_time) == (1, 256, 600.0)
    assert (limits.memory, limits.output, limits.scratch) == (512 * MIB, 256 * MIB, 512 * MIB)
    assert limits.cpu_time is None


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("cpus", 4, 4),
        ("cpus", "4", 4),
        ("memory", "64MiB", 64 * MIB),
        ("memory", 1024**4, TIB),
        ("processes", 32_768, 32_768),
        ("wall_time", "1h30m", 5400.0),
        ("wall_time", 5, 5.0),
        ("wall_time", 0.5, 0.5),
        ("cpu_time", "3s", 3.0),
        ("cpu_time", None, None),
        ("output", 1, 1),
        ("scratch", "1MiB", MIB),
    ],
)
def test_limits_are_read(name: str, given: object, value: object) -> None:
    read = getattr(Limits.model_validate({name: given}), name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("cpus", 0, "from 1 to 64, not 0"),
        ("cpus", 65, "from 1 to 64"),
        ("cpus", 1.0, "must be a whole number"),
        ("cpus", True, "must be a number or text, not true"),
        ("cpus", "one", "is not a whole number"),
        ("cpus", None, "not nothing"),
        ("memory", "63MiB", "from 64MiB to 1TiB, not '63MiB'"),
        ("memory", "2TiB", "from 64MiB to 1TiB"),
        ("memory", float("nan"), "must be a whole number"),
        ("memory", 10**40, "from 64MiB to 1TiB"),
        ("memory", [], "not a list"),
        ("processes", -1, "from 1 to 32768"),
        ("wall_time", 0, "from 1ms to 365d"),
        ("wall_time", -5, "from 1ms to 365d"),
        ("wall_time", float("nan"), "from 1ms to 365d"),
        ("wall_time", float("inf"), "from 1ms to 365d"),
        ("wall_time", 10**40, "from 1ms to 365d"),
        ("wall_time", "bad", "is not a duration"),
        ("cpu_time", 0, "from 1ms to 365d"),
        ("output", 0, "from 1B to 1TiB"),
        ("scratch", "1KiB", "from 1MiB to 1TiB"),
    ],
)
def test_limits_out_of_bounds_are_refused(name: str, given: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Limits.model_validate({name: given})
    (detail,) = caught.value.errors()
    assert message in detail["msg"]


def test_unknown_limits_are_refused() -> None:
    with pytest.raises(ValidationError, match="memry"):
        Limits.model_validate({"memry": "1GiB"})


def test_limits_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Limits().cpus = 2


def test_override_changes_what_it_names_and_keeps_the_rest() -> None:
    before = Limits(cpus=2)
    after = before.override(memory="1GiB", cpu_time=1.5)
    assert (after.cpus, after.memory, after.cpu_time) == (2, GIB, 1.5)
    assert before.memory == 512 * MIB


def test_override_names_the_nearest_limit() -> None:
    with pytest.raises(UsageError, match="unknown limit 'memry'; did you mean 'memory'") as caught:
        Limits().override(memry="1GiB")
    assert "cpus, memory, processes" in caught.value.hint


def test_override_says_what_is_wrong_with_a_value() -> None:
    with pytest.raises(UsageError, match=r"^limit memory: must be from 64MiB to 1TiB, not '1'$"):
        Limits().override(memory="1")


def test_override_each_reads_the_words_of_a_command_line() -> None:
    limits = Limits().override_each(["memory=1GiB", "cpus=4"])
    assert (limits.memory, limits.cpus) == (GIB, 4)
    assert Limits().override_each([]) == Limits()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["memory"], "'memory' is not a limit"),
        (["memory=1GiB", "memory=2GiB"], "'memory' is given twice"),
        (["=1"], "unknown limit ''"),
        (["self=1"], "unknown limit 'self'"),
        (["memory="], "'' is not a size"),
        (["memory=1GiB=2"], "'1GiB=2' is not a size"),
    ],
)
def test_override_each_refuses_what_it_cannot_read(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Limits().override_each(words)


def test_the_schema_accepts_both_ways_to_write_a_limit() -> None:
    memory = Limits.model_json_schema()["properties"]["memory"]
    assert [way["type"] for way in memory["anyOf"]] == ["integer", "string"]
    assert memory["description"]
