from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.sandbox.images.apt import RELEASE, deb_lines, host_sources

if TYPE_CHECKING:
    from collections.abc import Callable

MIRROR = "http://mirror.example/debian"
SECURITY = "http://mirror.example/security"
TARGETS = f"""\
{MIRROR} {RELEASE} main Debian
{MIRROR} {RELEASE}-updates main Debian
{SECURITY} {RELEASE}-security main Debian
"""
NO_KEYRING = Path("/nonexistent")


def test_the_hosts_mirrors_become_deb_lines() -> None:
    assert deb_lines(TARGETS, keyring=NO_KEYRING) == [
        f"deb {MIRROR} {RELEASE} main",
        f"deb {MIRROR} {RELEASE}-updates main",
        f"deb {SECURITY} {RELEASE}-security main",
    ]


def test_a_keyring_that_is_there_is_named(tmp_path: Path) -> None:
    lines = deb_lines(TARGETS, keyring=tmp_path)
    assert lines[0] == f"deb [signed-by={tmp_path}] {MIRROR} {RELEASE} main"


def test_a_mirror_listed_for_several_architectures_is_named_once() -> None:
    assert deb_lines(TARGETS * 2, keyring=NO_KEYRING) == deb_lines(TARGETS, keyring=NO_KEYRING)


def test_a_list_that_was_never_fetched_counts() -> None:
    # apt does not know the origin of such a list, and says so by leaving the field as it is.
    never = TARGETS.replace(" Debian", " $(ORIGIN)")
    assert len(deb_lines(never, keyring=NO_KEYRING)) == 3


@pytest.mark.parametrize(
    "stranger",
    [
        f"http://other.example/ {RELEASE} main Docker",
        f"{MIRROR} {RELEASE} contrib Debian",
        f"{MIRROR} trixie main Debian",
        f"{MIRROR} {RELEASE}-backports main Debian",
        f"{MIRROR} {RELEASE} main",
        f"{MIRROR} {RELEASE} main Debian extra",
        "",
    ],
)
def test_what_is_not_this_releases_main_archive_is_left_out(stranger: str) -> None:
    expected = deb_lines(TARGETS, keyring=NO_KEYRING)
    assert deb_lines(f"{stranger}\n{TARGETS}", keyring=NO_KEYRING) == expected


@pytest.mark.parametrize("missing", [0, 2])
def test_a_host_without_the_release_or_its_security_updates_is_not_used(missing: int) -> None:
    lines = TARGETS.splitlines()
    del lines[missing]
    assert deb_lines("\n".join(lines), keyring=NO_KEYRING) == []


@given(st.text() | st.lists(st.text()).map(" ".join))
def test_any_text_gives_lines_of_one_line_each(text: str) -> None:
    for line in deb_lines(TARGETS + text, keyring=NO_KEYRING):
        assert line.startswith("deb ")
        assert line.splitlines() == [line]


@pytest.mark.anyio
async def test_apt_is_asked_about_package_lists(program: Callable[[str, str], Path]) -> None:
    program("apt-get", f'[ "$4" = "Created-By: Packages" ] && cat <<"END"\n{TARGETS}END')
    assert [line.rpartition(MIRROR)[2] for line in await host_sources()][:2] == [
        f" {RELEASE} main",
        f" {RELEASE}-updates main",
    ]


@pytest.mark.anyio
@pytest.mark.usefixtures("without_programs")
async def test_a_host_without_apt_has_no_sources() -> None:
    assert await host_sources() == []


@pytest.mark.anyio
async def test_an_apt_that_fails_gives_no_sources(program: Callable[[str, str], Path]) -> None:
    program("apt-get", "printf 'E: broken \\377\\n'; exit 100")
    assert await host_sources() == []
