from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sandbox.conftest import open_descriptors

from stockade.model.profile import MAX_FILES
from stockade.sandbox.assembly import Shape, assemble
from stockade.sandbox.backends.base import Disk, Hardware, Ram
from stockade.sandbox.images.manifest import ImageManifest
from stockade.sandbox.images.runtime import Runtime
from stockade.sandbox.images.store import Image
from stockade.sandbox.templates.store import Facts, Template

_MIB, _GIB = 1 << 20, 1 << 30
_SHAPE = Shape(cpus=2, memory=256 * _MIB, slots=4)

_MEMORIES = st.integers(1, 64 * _GIB)
_GRANTS = st.integers(0, MAX_FILES)


@given(cpus=st.integers(1, 64), memory=_MEMORIES, grants=_GRANTS)
def test_a_shape_holds_what_is_asked_and_not_much_more(cpus: int, memory: int, grants: int) -> None:
    shape = Shape.holding(cpus=cpus, memory=memory, grants=grants)
    assert shape.cpus == cpus
    assert memory <= shape.memory
    assert shape.memory - memory < max(128 * _MIB, memory // 4)
    assert shape.memory % _MIB == 0  # QEMU takes whole ones
    assert shape.slots >= grants
    # A shape is its own: asking for it gives it.
    assert Shape.holding(cpus=cpus, memory=shape.memory, grants=shape.slots) == shape


@given(one=_MEMORIES, other=_MEMORIES, grants=_GRANTS)
def test_who_asks_for_more_gets_no_less(one: int, other: int, grants: int) -> None:
    small, large = (
        Shape.holding(cpus=1, memory=memory, grants=grants) for memory in sorted((one, other))
    )
    assert small.memory <= large.memory


def test_there_are_few_shapes() -> None:
    """Up to 64 GiB in steps of a MiB, with any number of files."""
    memories = {
        Shape.holding(cpus=1, memory=memory * _MIB, grants=0).memory for memory in range(1, 65_537)
    }
    assert len(memories) < 100
    slots = {Shape.holding(cpus=1, memory=1, grants=grants).slots for grants in range(17)}
    assert slots == {1, 4, MAX_FILES}


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "root.erofs").write_bytes(b"image")
    manifest = ImageManifest(digest="d" * 64, name="i", size=5, created=datetime.now(UTC))
    return Image(tmp_path / "root.erofs", manifest)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    (tmp_path / "agent.erofs").write_bytes(b"runtime")
    return Runtime(tmp_path / "vmlinuz", tmp_path / "initramfs", tmp_path / "agent.erofs", "key")


@pytest.fixture
def template(tmp_path: Path) -> Template:
    (tmp_path / "template").mkdir()
    (tmp_path / "template" / "state").write_bytes(b"state")
    return Template(tmp_path / "template", Facts("i", "d" * 64, 2, 256 * _MIB, 4, 0.0))


def _contents(hardware: Hardware) -> dict[str, bytes]:
    return {disk.serial: os.pread(disk.fd, 100, 0) for disk in hardware.disks}


def test_a_machine_has_its_disks_and_as_many_spare_ones_as_its_shape(
    image: Image, runtime: Runtime
) -> None:
    before = open_descriptors()
    granted = os.memfd_create("granted")
    os.write(granted, b"granted")
    with ExitStack() as owned:
        hardware = assemble(
            "m", image, runtime, _SHAPE, grants=[Disk("files-0", granted)], owned=owned
        )
        assert list(_contents(hardware)) == [
            "runtime", "image", "files-0", "files-1", "files-2", "files-3",
        ]  # fmt: skip
        contents = _contents(hardware)
        assert (contents["runtime"], contents["image"]) == (b"runtime", b"image")
        assert contents["files-0"] == b"granted"
        # What fills a spare disk is nobody's secret.
        assert {contents[f"files-{number}"] for number in (1, 2, 3)} == {b"runtime"}
        assert (hardware.machine, hardware.cpus, hardware.memory) == ("m", 2, 256 * _MIB)
    os.close(granted)
    assert open_descriptors() <= before


def test_without_a_template_it_boots(image: Image, runtime: Runtime, tmp_path: Path) -> None:
    with ExitStack() as owned:
        plain = assemble("m", image, runtime, _SHAPE, owned=owned)
        assert (plain.ram, plain.state, plain.deferred) == (None, None, False)
        making = assemble("m", image, runtime, _SHAPE, ram=tmp_path / "ram", owned=owned)
        assert (making.ram, making.state) == (Ram(tmp_path / "ram", shared=True), None)


def test_with_a_template_it_goes_on_from_there_and_never_shares_it(
    image: Image, runtime: Runtime, template: Template
) -> None:
    with ExitStack() as owned:
        hardware = assemble("m", image, runtime, _SHAPE, template=template, owned=owned)
        assert hardware.ram == Ram(template.ram, shared=False)
        assert hardware.state is not None
        assert os.pread(hardware.state, 100, 0) == b"state"
        assert not hardware.deferred


def test_from_a_checkpoint_it_waits_for_its_pages(
    image: Image, runtime: Runtime, template: Template
) -> None:
    with ExitStack() as owned:
        hardware = assemble("m", image, runtime, _SHAPE, template=template, state=77, owned=owned)
        assert (hardware.state, hardware.deferred) == (77, True)
        assert hardware.ram == Ram(template.ram, shared=False)


@pytest.mark.parametrize("missing", ["root.erofs", "agent.erofs", "template/state"])
def test_a_file_that_is_gone_leaves_nothing_open(
    image: Image, runtime: Runtime, template: Template, tmp_path: Path, missing: str
) -> None:
    (tmp_path / missing).unlink()
    before = open_descriptors()
    with pytest.raises(FileNotFoundError), ExitStack() as owned:
        assemble("m", image, runtime, _SHAPE, template=template, owned=owned)
    assert open_descriptors() <= before
