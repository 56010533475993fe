from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from stockade.cli.profiles import build_profile, compiled, read, read_cedar
from stockade.model.errors import ProfileError, UsageError
from stockade.model.profile import Profile
from stockade.policy.actiontext import parse_action

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


def test_files_that_a_profile_names_are_read_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    base, child = tmp_path / "base.yaml", tmp_path / "sub" / "child.yaml"
    base.write_text("version: 1\nname: base\npolicies: [no.cedar]\nfiles: [{host: x, guest: /x}]\n")
    (tmp_path / "no.cedar").write_text("forbid (principal, action, resource);\n")
    child.write_text("version: 1\nextends: ../base.yaml\ntools: {git_log: {}}\nwiden: true\n")
    profile = _build(profile=str(child))
    [grant] = profile.files
    assert grant.host.resolve() == tmp_path / "x"
    [(path, text)] = read_cedar(profile).items()
    assert Path(path).resolve() == tmp_path / "no.cedar"
    assert text.startswith("forbid")
    verdict = compiled(read(child)).decide(parse_action("tool:git_log"))
    assert (verdict.allowed, verdict.rule[:6]) == (False, "cedar:")


def test_without_a_profile_there_are_no_cedar_files() -> None:
    assert read_cedar(Profile()) == {}


def test_a_cedar_file_that_is_not_there_is_told_with_the_line(tmp_path: Path) -> None:
    document = tmp_path / "p.yaml"
    document.write_text("version: 1\npolicies:\n- none.cedar\n")
    with pytest.raises(ProfileError, match=r"p.yaml:3: policies\[0\]: cannot read .*No such file"):
        _build(profile=str(document))
    (tmp_path / "none.cedar").write_bytes(b"\xff")
    with pytest.raises(ProfileError, match="is not UTF-8 text"):
        _build(profile=str(document))
    (tmp_path / "none.cedar").write_bytes(b"/" * 300_000)
    with pytest.raises(ProfileError, match="is larger than 256KiB"):
        _build(profile=str(document))
