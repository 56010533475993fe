from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import stockade
from stockade.model.errors import MissingToolError
from stockade.sandbox.assembly import Shape
from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.images.manifest import ImageManifest
from stockade.sandbox.images.runtime import Runtime
from stockade.sandbox.images.store import Image
from stockade.sandbox.templates import key
from stockade.sandbox.templates.key import template_key

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class _Facts:
    backend: QemuMicrovm
    image: Image
    runtime: Runtime
    shape: Shape

    @property
    def key(self) -> str:
        return template_key(self.backend, self.image, self.runtime, self.shape)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "qemu"
    path.write_text("a hypervisor")
    path.chmod(0o755)
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(path))
    return path


@pytest.fixture
def facts(program: Path) -> Iterator[_Facts]:
    remembered = (key._processor, key._sources)  # before a test puts others in their place

    def forget() -> None:
        for facts in remembered:
            facts.cache_clear()

    forget()
    manifest = ImageManifest(digest="d" * 64, name="i", size=5, created=datetime.now(UTC))
    runtime = Runtime(Path("/kits/k/vmlinuz"), Path("/r/i"), Path("/r/d"), "runtime")
    yield _Facts(
        QemuMicrovm(), Image(Path("/i"), manifest), runtime, Shape(cpus=1, memory=1 << 30, slots=4)
    )
    forget()


def test_the_same_facts_give_the_same_key(facts: _Facts) -> None:
    assert facts.key == facts.key
    assert len(bytes.fromhex(facts.key)) == 32
    manifest = facts.image.manifest.model_copy(update={"name": "tag", "env": {"A": "b"}})
    # Its digest is what an image is; another name for it needs no template of its own.
    assert replace(facts, image=Image(Path("/elsewhere"), manifest)).key == facts.key


def test_each_fact_changes_the_key(facts: _Facts) -> None:
    other = facts.image.manifest.model_copy(update={"digest": "e" * 64})
    found = {
        facts.key,
        replace(facts, backend=QemuMicrovm(kvm=True)).key,
        replace(facts, backend=QemuMicrovm(name="other")).key,
        replace(facts, image=Image(Path("/i"), other)).key,
        replace(facts, runtime=replace(facts.runtime, key="other")).key,
        replace(facts, runtime=replace(facts.runtime, kernel=Path("/kits/other/vmlinuz"))).key,
        replace(facts, shape=replace(facts.shape, cpus=2)).key,
        replace(facts, shape=replace(facts.shape, memory=2 << 30)).key,
        replace(facts, shape=replace(facts.shape, slots=16)).key,
    }
    assert len(found) == 9


def test_another_version_of_stockade_makes_its_own(
    facts: _Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts.key
    monkeypatch.setattr(stockade, "__version__", "99.0")
    assert facts.key != before


@pytest.mark.parametrize("change", ["time", "size", "link"])
def test_another_hypervisor_makes_its_own(facts: _Facts, program: Path, change: str) -> None:
    before = facts.key
    if change == "time":
        os.utime(program, (1, 1))
    elif change == "size":
        status = program.stat()
        program.write_text("another hypervisor")
        os.utime(program, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        program.rename(program.with_name("qemu-7.3"))
        program.symlink_to("qemu-7.3")
    assert facts.key != before


def test_a_processor_is_what_a_guest_sees_of_it(
    facts: _Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = key._processor()
    assert {line.partition("\t")[0].strip() for line in found} == {
        "model name", "flags", "bogomips",
    }  # fmt: skip
    before = facts.key
    other = functools.cache(lambda: [*found[:-1], "bogomips\t: 1.00"])
    monkeypatch.setattr(key, "_processor", other)
    assert facts.key != before


def test_a_change_of_what_makes_templates_makes_them_anew(
    facts: _Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = ModuleType("maker")
    maker.__file__ = str(tmp_path / "maker.py")
    monkeypatch.setattr(key, "_MAKERS", (*key._MAKERS, maker))
    found = set()
    for text in ("first", "second"):
        (tmp_path / "maker.py").write_text(text)
        key._sources.cache_clear()
        found.add(facts.key)
    assert len(found) == 2


def test_without_a_hypervisor_there_is_none(
    facts: _Facts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(tmp_path / "none"))
    with pytest.raises(MissingToolError):
        assert facts.key
