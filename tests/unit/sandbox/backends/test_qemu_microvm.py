"""The command line against the real QEMU, with a kernel of a few bytes in place of Linux."""

from __future__ import annotations

import itertools
import os
import shutil
import struct
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stockade.model.errors import MissingToolError
from stockade.sandbox import registry
from stockade.sandbox.backends.base import Backend, Disk, Hardware, Ram
from stockade.sandbox.backends.qemu_microvm import (
    Inherited,
    QemuMicrovm,
    command_line,
    find_program,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MIB = 1 << 20
_SHELL = Path(shutil.which("dash") or "/bin/sh").resolve()
# At its entry a kernel is in 16-bit real mode. This one says what lies behind it on the first
# serial port, and then lets an interrupt find no table, which resets the machine:
#   cli; mov dx, 0x3f8; call +0; pop si; add si, 20
#   next: cs lodsb; test al, al; jz +3; out dx, al; jmp next; cs lidt [si]; int3
_SAY = bytes.fromhex("fa baf803 e80000 5e 83c614 2eac 84c0 7403 ee ebf7 2e0f011c cc 9090")
_HALT = bytes.fromhex("f4 ebfd")
_INHERITED = Inherited(channel=33, control=34, monitor=35, saved=36)


def _kernel(code: bytes) -> bytes:
    """The smallest image that QEMU takes for Linux; see x86/boot in the kernel's documentation."""
    image = bytearray(5 * 512 + 512)
    image[0x1F1] = 4  # sectors of setup code, besides the first
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x200:0x202] = b"\xeb\x66"  # jump over the header
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x0203)
    image[0x211] = 1  # the rest is loaded high
    struct.pack_into("<I", image, 0x22C, 0x37FF_FFFF)
    image[0x268 : 0x268 + len(code)] = code
    return bytes(image)


@pytest.fixture
def hardware(tmp_path: Path) -> Iterator[Hardware]:
    """A machine with two disks; nothing of it is left afterwards."""
    (tmp_path / "kernel").write_bytes(_kernel(_HALT))
    (tmp_path / "initramfs").write_bytes(b"initramfs")
    with ExitStack() as stack:
        disks = []
        for serial in ("image", "files-0"):
            file = stack.enter_context(tempfile.TemporaryFile())
            file.truncate(_MIB)
            read_only = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
            stack.callback(os.close, read_only)
            disks.append(Disk(serial, read_only))
        yield Hardware(
            machine=registry.new_id(),
            cpus=2,
            memory=256 * _MIB,
            kernel=tmp_path / "kernel",
            initramfs=tmp_path / "initramfs",
            disks=tuple(disks),
        )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "last"),
    [
        (b"first\r\nKernel panic - not syncing\r\n", "Kernel panic - not syncing"),
        (b"\x1b[31mred\x07\n", "?[31mred?"),
        (b"", ""),
    ],
)
async def test_qemu_takes_the_machine_and_its_console_is_heard(
    hardware: Hardware, said: bytes, last: str
) -> None:
    hardware.kernel.write_bytes(_kernel(_SAY + said + bytes(8)))
    machine = await QemuMicrovm().start(hardware)
    try:
        assert await machine.wait() == last
    finally:
        await machine.close()


@pytest.mark.anyio
async def test_a_machine_runs_until_it_is_closed(
    hardware: Hardware, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    machine = await QemuMicrovm().start(hardware)
    try:
        eventually(
            lambda: Path(f"/proc/{machine.pid}/comm").read_text().startswith("qemu"),
            "QEMU to have taken its jailer's place",
        )
        pid = machine.pid
    finally:
        await machine.close()
    assert registry.start_ticks(pid) == 0
    assert machine.links.channel.fileno() == -1


@pytest.mark.anyio
async def test_a_kernel_that_is_none_is_told(hardware: Hardware) -> None:
    hardware.kernel.write_bytes(b"not a kernel")
    machine = await QemuMicrovm().start(hardware)
    try:
        assert "kernel" in await machine.wait()
    finally:
        await machine.close()


@pytest.mark.anyio
async def test_a_disk_that_could_be_written_is_not_taken(hardware: Hardware) -> None:
    """QEMU keeps a read-only disk only on a descriptor that is read-only itself."""
    with tempfile.TemporaryFile() as file:
        file.truncate(_MIB)
        disks = (*hardware.disks, Disk("files-1", file.fileno()))
        machine = await QemuMicrovm().start(replace(hardware, disks=disks))
        try:
            assert "/dev/fdset/3" in await machine.wait()
        finally:
            await machine.close()


@pytest.mark.anyio
async def test_another_program_may_be_chosen(
    hardware: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(_SHELL))
    machine = await QemuMicrovm().start(hardware)
    try:
        assert "option" in await machine.wait()  # of which a shell has not those of QEMU
    finally:
        await machine.close()


def test_it_is_a_backend() -> None:
    backend: Backend = QemuMicrovm(kvm=True)
    assert backend.name == "qemu-microvm"


def _values(words: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(words) if name == option]


def test_the_command_line_names_nothing_but_what_the_machine_needs(hardware: Hardware) -> None:
    words = command_line(hardware, _INHERITED, kvm=False)
    assert words[0] == "-nodefaults"
    assert not {"-monitor", "-qmp", "-gdb", "-s", "-vnc", "-netdev", "-nic"} & set(words)
    assert not any(str(hardware.kernel.parent) in word for word in words)
    assert _values(words, "-m") == ["256M"]
    assert _values(words, "-smp") == ["2"]
    (sandbox,) = _values(words, "-sandbox")
    assert sandbox.startswith("on,")
    assert {"elevateprivileges=deny", "spawn=deny", "resourcecontrol=deny"} <= set(
        sandbox.split(",")
    )
    # All that leads outside is inherited; the one monitor too.
    assert _values(words, "-chardev") == [
        "stdio,id=console,signal=off",
        "socket,id=monitor,fd=35",
        "socket,id=channel,fd=33",
        "socket,id=control,fd=34",
    ]
    assert _values(words, "-mon") == ["chardev=monitor,mode=control"]
    assert not {"-object", "-incoming", "-global"} & set(words)


def test_every_disk_is_read_only_and_found_by_its_serial(hardware: Hardware) -> None:
    words = command_line(hardware, _INHERITED, kvm=False)
    blocks = _values(words, "-blockdev")
    assert len(blocks) == 2
    assert all("read-only=on" in block.split(",") for block in blocks)
    assert _values(words, "-add-fd") == [
        f"fd={disk.fd},set={number}" for number, disk in enumerate(hardware.disks, start=1)
    ]
    serials = [
        device.rpartition("serial=")[2]
        for device in _values(words, "-device")
        if device.startswith("virtio-blk-device")
    ]
    assert serials == ["image", "files-0"]


@pytest.mark.parametrize(("disks", "second"), [(0, False), (7, False), (8, True), (18, True)])
def test_only_many_devices_take_a_second_interrupt_controller(
    hardware: Hardware, disks: int, second: bool
) -> None:
    # Beside the disks there is one device, the serial one.
    many = replace(hardware, disks=hardware.disks[:1] * disks)
    (machine,) = _values(command_line(many, _INHERITED, kvm=False), "-machine")
    assert ("ioapic2=off" not in machine.split(",")) is second


@pytest.mark.parametrize("deferred", [False, True])
def test_a_copy_maps_its_template_privately_and_boots_nothing(
    hardware: Hardware, tmp_path: Path, deferred: bool
) -> None:
    copy = replace(hardware, ram=Ram(tmp_path / "ram", shared=False), state=77, deferred=deferred)
    words = command_line(copy, _INHERITED, kvm=False, ram_fd=55)
    assert _values(words, "-object") == [
        "memory-backend-file,id=ram,size=256M,mem-path=/proc/self/fd/55,share=off"
    ]
    assert "memory-backend=ram" in _values(words, "-machine")[0].split(",")
    assert _values(words, "-incoming") == ["defer" if deferred else "fd:77"]
    assert not {"-kernel", "-initrd", "-append"} & set(words)


def test_only_a_template_in_the_making_shares_its_memory(
    hardware: Hardware, tmp_path: Path
) -> None:
    words = command_line(
        replace(hardware, ram=Ram(tmp_path / "ram", shared=True)), _INHERITED, kvm=False
    )
    assert _values(words, "-object")[0].endswith(",share=on")
    assert "-kernel" in words


@pytest.mark.anyio
@pytest.mark.parametrize("shared", [False, True])
async def test_memory_in_a_file_is_written_only_where_it_is_shared(
    hardware: Hardware, tmp_path: Path, shared: bool
) -> None:
    """The kernel's code lies in RAM before it runs; QEMU itself puts it there."""
    ram = tmp_path / "ram"
    with ram.open("wb") as file:
        file.truncate(hardware.memory)
    ram.chmod(0o666)
    hardware.kernel.write_bytes(_kernel(_SAY + b"I ran\n" + bytes(8)))
    machine = await QemuMicrovm().start(replace(hardware, ram=Ram(ram, shared=shared)))
    try:
        assert await machine.wait() == "I ran"
    finally:
        await machine.close()
    with ram.open("rb") as file:
        assert bool(os.lseek(file.fileno(), 0, os.SEEK_HOLE)) is shared


def test_kvm_is_used_only_when_asked_for(hardware: Hardware) -> None:
    words = command_line(hardware, _INHERITED, kvm=True)
    assert _values(words, "-accel") == ["kvm"]
    assert _values(words, "-cpu") == ["host"]
    # A real clock needs no telling.
    assert "tsc_early_khz" not in _values(words, "-append")[0]
    words = command_line(hardware, _INHERITED, kvm=False)
    assert _values(words, "-accel")[0].startswith("tcg,")


def test_a_missing_qemu_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STOCKADE_QEMU_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="qemu-system-x86_64 is not installed") as error:
        find_program()
    assert error.value.hint == "Run: apt install qemu-system-x86"
    (tmp_path / "not executable").touch(mode=0o644)
    for chosen in ("none", "not executable"):
        monkeypatch.setenv("STOCKADE_QEMU_BIN", str(tmp_path / chosen))
        with pytest.raises(MissingToolError, match=f"{chosen} is not installed"):
            find_program()


def test_the_qemu_in_path_is_used_unless_another_is_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder in ("path", "own"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "qemu-system-x86_64").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("STOCKADE_QEMU_BIN", "")
    assert find_program() == tmp_path / "path" / "qemu-system-x86_64"
    own = tmp_path / "own" / "qemu-system-x86_64"
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(own))
    assert find_program() == own
