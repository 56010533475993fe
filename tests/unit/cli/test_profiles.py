from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from stockade.cli.profiles import build_profile
from stockade.model.errors import ProfileError, UsageError
from stockade.model.profile import Profile

_NOTHING: dict[str, Any] = {
    "profile": None,
    "image": None,
    "file": None,
    "env": None,
    "limit": None,
    "timeout": None,
}


def _build(**options: object) -> Profile:
    return build_profile(Namespace(**{**_NOTHING, **options}))


def test_no_options_give_the_default_profile() -> None:
    assert _build() == Profile()


def test_options_are_laid_over_the_profile(tmp_path: Path) -> None:
    document = tmp_path / "p.yaml"
    document.write_text(
        "version: 1\nname: mine\nlimits: {memory: 256MiB, cpus: 2}\n"
        "files: [{host: shop, guest: /workspace}]\nenv: {A: one, B: two}\n"
    )
    profile = _build(
        profile=str(document),
        env=["B=2", "C=a=b"],
        limit=["memory=1GiB"],
        timeout="90s",
        file=["/srv:/data:overlay"],
    )
    assert profile.name == "mine"
    assert profile.env == {"A": "one", "B": "2", "C": "a=b"}
    assert (profile.limits.memory, profile.limits.cpus) == (1 << 30, 2)
    assert profile.limits.wall_time == 90
    assert {str(grant.host) for grant in profile.files} == {str(tmp_path / "shop"), "/srv"}


@pytest.mark.parametrize(
    "options",
    [{"env": ["=x"]}, {"limit": ["memory"]}, {"timeout": "never"}, {"file": ["a:b"]}],
)
def test_a_bad_option_is_a_usage_error(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        _build(**options)


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="No such file"):
        _build(profile=str(tmp_path / "none.yaml"))


def test_a_profile_that_is_endless_is_refused() -> None:
    with pytest.raises(ProfileError):
        _build(profile="/dev/zero")
