from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.errors import ImageError
from stockade.sandbox.images.locks import PACKAGE, Lock, load_lock, parse_lock
from stockade.sandbox.images.manifest import Drift

_NAMES = st.from_regex(PACKAGE, fullmatch=True)
_VERSIONS = st.from_regex(r"\A[0-9A-Za-z.+:~-]+\Z")
_LOCKS = st.builds(
    Lock,
    st.dictionaries(_NAMES, _VERSIONS, max_size=5),
    st.integers(min_value=0, max_value=10**12 - 1),
)


def test_a_lock_is_read() -> None:
    lock = parse_lock(
        "# made by hand\n# epoch=1700000000\n\n git=1:2.39.5-0+deb12u2 \r\nbash=5.2\n"
    )
    assert lock == Lock({"git": "1:2.39.5-0+deb12u2", "bash": "5.2"}, epoch=1_700_000_000)


@given(_LOCKS)
def test_what_is_written_is_read_again(lock: Lock) -> None:
    assert parse_lock(lock.text()) == lock


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("git", "no package=version"),
        ("git=", "no package=version"),
        ("=1", "no package=version"),
        ("git = 1", "no package=version"),
        ("Git=1", "no package=version"),
        ("git=1 bash=2", "no package=version"),
        ("git=1;reboot", "no package=version"),
        ("git=1\0", "no package=version"),
        ("bash=2", "a package twice"),
    ],
)
def test_a_line_that_is_neither_package_nor_comment_is_refused(line: str, what: str) -> None:
    with pytest.raises(ImageError, match=f"test.lock, line 2: {what}"):
        parse_lock(f"bash=1\n{line}\n", name="test.lock")


@given(st.text())
def test_any_text_is_a_lock_or_refused_in_one_line(text: str) -> None:
    message = ""
    try:
        lock = parse_lock(text)
    except ImageError as error:
        message = str(error)
    else:
        assert parse_lock(lock.text()) == lock
    assert len(message.splitlines()) <= 1


@given(_LOCKS)
def test_preferences_name_every_version_and_nothing_else(lock: Lock) -> None:
    stanzas = [stanza for stanza in lock.preferences().split("\n\n") if stanza.strip()]
    assert [stanza.strip().splitlines() for stanza in stanzas] == [
        [f"Package: {name}", f"Pin: version {version}", "Pin-Priority: 1001"]
        for name, version in sorted(lock.versions.items())
    ]


@given(_LOCKS)
def test_what_was_built_as_locked_has_not_drifted(lock: Lock) -> None:
    assert lock.drift(lock.versions) == ()


def test_drift_names_what_changed_what_came_and_what_went() -> None:
    lock = Lock({"bash": "5.1", "git": "2", "perl": "5"})
    assert lock.drift({"bash": "5.2", "git": "2", "zsh": "1"}) == (
        Drift(package="bash", locked="5.1", built="5.2"),
        Drift(package="perl", locked="5", built=None),
        Drift(package="zsh", locked=None, built="1"),
    )


@pytest.mark.parametrize("name", ["debian-python", "runtime"])
def test_the_locks_that_come_along_pin_packages_and_a_time(name: str) -> None:
    lock = load_lock(name)
    assert "libc6" in lock.versions
    assert lock.epoch > 0


def test_a_lock_that_does_not_come_along_is_empty() -> None:
    assert load_lock("nope") == Lock({})
