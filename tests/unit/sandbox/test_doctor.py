from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from stockade.sandbox.doctor import Finding, Status, examine, walls

if TYPE_CHECKING:
    from pathlib import Path

_FINE = Finding("qemu", Status.OK, "")


def _examine() -> dict[str, Finding]:
    findings = anyio.run(examine)
    assert all("\n" not in found.detail + found.fix for found in findings)
    named = {found.name: found for found in findings}
    assert len(named) == len(findings)
    return named


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let nothing be built yet."""
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_wall_is_usable_unless_something_fails() -> None:
    lacking = [
        Finding("qemu", Status.FAIL, ""),
        Finding("kvm", Status.WARN, ""),
        Finding("cpio", Status.FAIL, ""),
    ]
    microvm, *others = walls(lacking)
    assert (microvm.wall, microvm.usable, microvm.detail) == ("microvm", False, "lacks qemu, cpio")
    assert [(wall.wall, wall.usable, wall.detail) for wall in others] == [
        ("gvisor", False, "not in this version"),
        ("container", False, "not in this version"),
    ]


@pytest.mark.parametrize(("status", "how"), [(Status.OK, "(KVM)"), (Status.WARN, "(TCG)")])
def test_a_usable_microvm_says_how_it_runs(status: Status, how: str) -> None:
    microvm = walls([_FINE, Finding("kvm", status, "")])[0]
    assert microvm.usable
    assert microvm.backend == "qemu-microvm"
    assert how in microvm.detail


def test_everything_that_was_asked_about_is_examined() -> None:
    identity = "setpriv" if os.geteuid() == 0 else "user namespaces"
    expected = {"python", "processor", "qemu", "bubblewrap", identity, "kvm", "cgroups"}
    expected |= {"mkfs.erofs", "mmdebstrap", "cpio", "skopeo", "umoci", "cache", "runtime folder"}
    expected |= {"runtime", "image debian-python", "capacity"}
    assert expected <= _examine().keys()


def test_an_empty_cache_is_no_obstacle_and_stays_empty(empty_cache: Path) -> None:
    named = _examine()
    for name in ("runtime", "image debian-python"):
        assert named[name].status is Status.WARN
        assert named[name].fix == "stockade image build debian-python"
    assert named["kvm"].status is Status.WARN
    assert named["cache"].status is Status.OK
    assert not empty_cache.exists()


def test_a_cache_that_cannot_be_written_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    cache = _examine()["cache"]
    assert cache.status is Status.FAIL
    assert cache.fix == "export STOCKADE_CACHE_DIR=FOLDER"


def test_a_runtime_folder_of_somebody_else_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stockade").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert _examine()["runtime folder"].status is Status.FAIL


def test_without_programs_each_is_named_once_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("STOCKADE_QEMU_BIN", raising=False)
    named = _examine()
    assert named["qemu"].fix == "apt install qemu-system-x86"
    assert named["bubblewrap"].fix == "apt install bubblewrap"
    assert not walls(list(named.values()))[0].usable


def test_capacity_is_told_in_units() -> None:
    capacity = _examine()["capacity"]
    assert capacity.detail.startswith(f"{len(os.sched_getaffinity(0))} processors, ")
    assert "iB of memory available" in capacity.detail
