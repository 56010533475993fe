from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.unit.tools.conftest import GRANTS, Tools

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.machine


def test_git_am_makes_the_same_files_of_it(tools: Tools, tmp_path: Path) -> None:
    tools.repository(a="one\n", gone="x\n", mode="x\n", _gitignore="*.o\n")
    tools.shell(
        "git mv _gitignore .gitignore; git commit -qam ignore; git bundle create -q /tmp/b HEAD"
    )
    bundle = tmp_path / "bundle"
    bundle.write_bytes(tools.box.files.read("/tmp/b"))
    before = tools.shell(
        "git status --porcelain; ls -la .git .git/objects; cat .git/index | md5sum"
    )
    tools.shell(
        "echo two > a; rm gone; chmod +x mode; mkdir -p d/e; head -c 3000 /dev/urandom > d/e/bin;"
        " printf h\\\\303\\\\266 > 'new name'; touch ignored.o"
    )
    data = tools.done("make_patch", message="Mend it\n\nAs it was broken.")
    assert data["files"] == ["a", "d/e/bin", "gone", "mode", "new name"]
    patch = tmp_path / "patch"
    patch.write_text(data["patch"], encoding="utf-8")
    clone = tmp_path / "clone"
    for argv in (
        ["git", "clone", "-q", str(bundle), str(clone)],
        [
            *("git", "-C", str(clone), "-c", "user.name=B", "-c", "user.email=b@example.org"),
            "am",
            str(patch),
        ],
    ):
        subprocess.run(argv, check=True, capture_output=True)
    said = subprocess.run(
        ["git", "-C", clone, "log", "-1", "--format=%an: %B"], check=True, capture_output=True
    ).stdout.decode()
    assert said.strip() == "Stockade agent: Mend it\n\nAs it was broken."
    assert (clone / "d/e/bin").read_bytes() == tools.box.files.read("/workspace/d/e/bin")
    assert (clone / "a").read_text() == "two\n"
    assert not (clone / "gone").exists()
    assert not (clone / "ignored.o").exists()
    # The repository itself knows nothing of it, and nothing is left in the machine.
    tools.shell("git reset -q --hard; git clean -qfd; rm -f ignored.o")
    after = tools.shell("git status --porcelain; ls -A .git/objects | wc -l; ls /tmp")
    assert "patch-" not in after
    assert before.count("\n") > 3


def test_commits_since_the_base_are_in_it(tools: Tools) -> None:
    tools.repository(a="one\n")
    tools.shell("echo two > a; git commit -qam Second; echo new > b")
    data = tools.done("make_patch", base="HEAD~1")
    assert data["files"] == ["a", "b"]
    assert data["patch"].count("Subject: ") == 1


def test_no_change_is_no_patch(tools: Tools) -> None:
    tools.repository(a="one\n")
    data = tools.done("make_patch")
    assert (data["patch"], data["files"]) == ("", [])


def test_a_patch_that_does_not_fit_is_refused_and_not_cut(tools: Tools) -> None:
    tools.repository(a="one\n")
    tools.shell("seq 1000 > a")
    small = Tools(tools.box, {**GRANTS, "make_patch": {"output": 1000}})
    assert "more than the 1000 bytes allowed" in small.refused("make_patch")
