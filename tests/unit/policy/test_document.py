from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from stockade.model.errors import ProfileError
from stockade.model.profile import Access, Profile, WallKind
from stockade.model.quantities import MIB
from stockade.policy.document import (
    MAX_BYTES,
    ProfileDocumentError,
    parse_profile,
)
from stockade.policy.yamltree import MAX_PROBLEMS

_BASE = Path("/home/dev/shop")

_CODEFIX = """\
version: 1
name: codefix
image: debian-python
wall: {minimum: microvm}
limits: {cpus: 1, memory: 512MiB, processes: 256, wall_time: 10m, output: 16MiB, scratch: 512MiB}
files:
  - {host: ./shop, guest: /workspace, access: read}
  - host: /srv/data
    guest: /data
    access: overlay
env:
  LANG: C.UTF-8
  QUIET: "no"
"""


def _parse(text: str | bytes) -> Profile:
    return parse_profile(text, source="codefix.yaml", base=_BASE)


def _attempt(text: str | bytes) -> Profile | ProfileDocumentError:
    try:
        return _parse(text)
    except ProfileDocumentError as error:
        return error


def _refusal(text: str | bytes) -> ProfileDocumentError:
    with pytest.raises(ProfileDocumentError) as caught:
        _parse(text)
    return caught.value


@pytest.mark.parametrize("text", [_CODEFIX, _CODEFIX.encode(), "\ufeff" + _CODEFIX])
def test_a_profile_of_the_design_is_read(text: str | bytes) -> None:
    profile = _parse(text)
    assert (profile.name, profile.wall.minimum) == ("codefix", WallKind.MICROVM)
    assert (profile.limits.output, profile.limits.wall_time) == (16 * MIB, 600.0)
    data, workspace = profile.files
    assert (data.guest, data.access) == ("/data", Access.OVERLAY)
    assert (workspace.host, workspace.guest) == (_BASE / "shop", "/workspace")
    assert profile.env == {"LANG": "C.UTF-8", "QUIET": "no"}


def test_paths_are_relative_to_the_profile_and_not_looked_up() -> None:
    text = "image: dir:img\nfiles: [{host: ../x, guest: /a}, {host: /nowhere, guest: /b}]"
    profile = _parse(text)
    assert [str(grant.host) for grant in profile.files] == ["/home/dev/shop/../x", "/nowhere"]
    assert profile.image == "dir:/home/dev/shop/img"


def test_an_unknown_key_names_its_line_and_the_nearest_valid_key() -> None:
    text = "version: 1\nname: codefix\n\n\n\n\nfilez: []\n"
    error = _refusal(text)
    assert str(error) == "codefix.yaml:7: unknown key 'filez' in profile; did you mean 'files'?"
    assert isinstance(error, ProfileError)
    assert error.lines() == [
        "codefix.yaml:7:1: unknown key 'filez' in profile; did you mean 'files'?"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: the profile is empty"),
        ("# nothing\n---\n", "1: the profile is empty"),
        ("[]", "1: profile: must be a mapping of keys to values, not a list"),
        ("codefix", "1: profile: must be a mapping of keys to values, not 'codefix'"),
        ("\nversion: 2", "2: version: must be 1, the only version there is so far, not 2"),
        ("version: true", "1: version: must be 1, the only version there is so far, not true"),
        ("name: no", "1: 'no' means true or false to some readers of YAML; write it in quotes"),
        ("name: true", "1: name: must be text, not true; write it in quotes"),
        ("name: 7", "1: name: must be text, not 7; write it in quotes"),
        ("name: [a]", "1: name: must be text, not a list"),
        ("name:", "1: name: must be text, not nothing"),
        ("name: Foo", "1: name: must match ^[a-z0-9]"),
        ("limits:", "1: limits: must be a mapping of keys to values, not nothing"),
        ("limits: 3", "1: limits: must be a mapping of keys to values, not 3"),
        ("limits:\n  memry: 1", "2: unknown key 'memry' in limits; did you mean 'memory'?"),
        ("limits:\n  memory: 1MB", "2: limits.memory: '1MB' is not a size"),
        ("limits: {memory: 1MiB}", "1: limits.memory: must be from 64MiB to 1TiB, not '1MiB'"),
        ("limits: {wall_time: 10:30}", "1: '10:30' means another number"),
        ("limits: {cpus: 010}", "1: '010' means another number"),
        ("limits: {cpus: 1.5}", "1: limits.cpus: must be a whole number, not 1.5"),
        ("limits: {cpus: on}", "1: 'on' means true or false"),
        ("wall: {minimum: vm}", "1: wall.minimum: must be 'microvm', 'gvisor' or 'container'"),
        ("wall: {minimun: vm}", "1: unknown key 'minimun' in wall; did you mean 'minimum'?"),
        ("files: x", "1: files: must be a list, not 'x'"),
        ("files:\n- x", "2: files[0]: must be a mapping of keys to values, not 'x'"),
        ("files:\n- {host: x}", "2: key 'guest' is missing in files[0]"),
        ("files:\n- {host: x,\n   guest: y}", "3: files[0].guest: 'y' is not absolute"),
        ("files:\n- {host: ~/x, guest: /x}", "2: files[0].host: '~' is not expanded"),
        ("files:\n- {host: ~, guest: /x}", "2: files[0].host: must be the path of a file or"),
        ("files:\n- {host: x, guest: /x, acess: read}", "2: unknown key 'acess' in files[0]; did"),
        ("files:\n- {host: a, guest: /x}\n- {host: b, guest: /x/}", "3: files[1]: guest path '/x'"),
        ("env: []", "1: env: must be a mapping of names to values, not a list"),
        ("env:\n  A: 1", "2: env.A: must be text, not 1; write it in quotes"),
        ("env:\n  A: 2026-01-01", "2: '2026-01-01' means a date"),
        ("env:\n  A: no", "2: 'no' means true or false"),
        ("env:\n  on: x", "2: 'on' means true or false"),
        ("env:\n  1: x", "2: key 1 must be text"),
        ("env:\n  A-B: x", "2: name in env: must match ^[A-Za-z_][A-Za-z0-9_]*$, not 'A-B'"),
        ('env:\n  A: x\n  B: "\\0"', "3: env.B: must not contain a NUL character"),
        ('env:\n  A: "\\ud800"', r"2: env.A: '\ud800' is not valid Unicode text"),
        ("env:\n  A: x\n  A: y", "3: key 'A' is given twice, first on line 2"),
        ("env: &e {}\n", "1: anchor '&e' is not accepted"),
        ("env: {}\nfiles: *e", "2: alias '*e' is not accepted"),
        ("env: {}\n---\nenv: {}", "2: a second document begins here"),
        ("env: {\n", "2: not valid YAML: "),
        (b"version: 1\nname: caf\xe9", "2: not UTF-8 text"),
        (b"version: 1\n\0", "2: character U+0000 is not allowed"),
        ("x" * (MAX_BYTES + 1), "1: larger than 256KiB"),
        ("é" * (MAX_BYTES // 2 + 1), "1: larger than 256KiB"),
        (b"x" * (MAX_BYTES + 1), "1: larger than 256KiB"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_wrong_is_said_with_its_line(text: str | bytes, message: str) -> None:
    error = _refusal(text)
    assert str(error).startswith(f"codefix.yaml:{message}")
    assert str(error).isprintable()
    assert len(error.problems) == 1


def test_all_problems_are_reported_at_once_in_order() -> None:
    error = _refusal(
        "nam: x\nlimits: {cpus: 0, memory: 010}\nenv: {A: no}\nversion: 2\nnetwork: {}"
    )
    assert [problem.line for problem in error.problems] == [1, 2, 2, 3, 4, 5]
    assert str(error).startswith("codefix.yaml:1: unknown key 'nam'")
    assert "line 3: 'no' means true or false" in error.hint
    assert "line 5: network: must be a list" in error.hint
    assert error.hint.isprintable()


def test_what_cannot_be_read_is_one_problem_and_not_two() -> None:
    assert len(_refusal("name: no").problems) == 1
    assert len(_refusal("env: !x {A: 1}").problems) == 1


def test_problems_are_bounded_in_number_and_time() -> None:
    started = time.perf_counter()
    for text in (
        "\n".join(f"key{number}: x" for number in range(20_000)),
        "files: [" + "{}, " * 40_000 + "]",
        "env: {" + ", ".join(f"A{number}: 1" for number in range(10_000)) + "}",
    ):
        assert len(_refusal(text).problems) <= MAX_PROBLEMS
    assert time.perf_counter() - started < 60


def test_a_name_with_control_characters_cannot_forge_a_line() -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile("", source="a\nb.yaml", base=_BASE)
    assert str(caught.value) == r"'a\nb.yaml':1: the profile is empty"


_WORDS = st.sampled_from(
    [
        *("version", "name", "limits", "files", "env", "wall", "minimum", "host", "guest", "image"),
        *("cpus", "memory", "network", "/x", "/../x", "dir:x", "1GiB", "microvm", "no", "010"),
        *("10:30", "2026-01-01", "~", "<<", "=", "1", "-1", ".nan", "'", '"\\ud800"', '"\\0"'),
        *("&a", "*a", "!t", "!!int", "%YAML 1.1", "---", "...", "|", ">-", "#", "\\UFFFFFFFF"),
        *(": ", ": ", ":", "- ", ", ", "[", "]", "{", "}", "? ", "\n", "\n", "\n  ", "\t", " "),
    ]
)


@given(st.text() | st.lists(_WORDS, max_size=40).map("".join) | st.binary(max_size=200))
@example("{}")
@example('"\\U00110000"')
@example("? ")
@example("- \n-\n")
def test_any_text_is_a_profile_or_an_error_with_a_line(text: str | bytes) -> None:
    result = _attempt(text)
    if isinstance(result, ProfileDocumentError):
        assert re.match(r"codefix\.yaml:[1-9][0-9]*: \S", str(result))
        assert str(result).isprintable()
        assert result.problems


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(Profile.model_fields)), _VALUES))
def test_any_shape_of_values_is_a_profile_or_an_error_with_a_line(data: dict[str, object]) -> None:
    result = _attempt(yaml.safe_dump(data, allow_unicode=True))
    if isinstance(result, ProfileDocumentError):
        assert re.match(r"codefix\.yaml:[1-9][0-9]*: \S", str(result))


_NAMES = st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)


@given(
    st.integers(1, 64),
    st.dictionaries(
        _NAMES,
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
        max_size=5,
    ),
)
def test_what_is_written_is_what_is_read(cpus: int, env: dict[str, str]) -> None:
    profile = _parse(yaml.safe_dump({"limits": {"cpus": cpus}, "env": env}))
    assert profile.limits.cpus == cpus
    assert profile.env == env
