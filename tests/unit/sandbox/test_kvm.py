from __future__ import annotations

import json
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from stockade.model.errors import MissingToolError
from stockade.sandbox import kvm
from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.images.progress import Silent
from stockade.sandbox.images.runtime import Runtime
from stockade.sandbox.kvm import kvm_verdict, prove, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
GROUP = 12345  # has no name
_FILES = ("vmlinuz", "initramfs", "disk")

# Programs for the jail, where there is neither a shell nor an interpreter.
_PAUSE = bytes.fromhex("b822000000 0f05 ebf7")  # pause() again and again
_EXIT = bytes.fromhex("bf03000000 b83c000000 0f05")  # _exit(3)


def _say(text: bytes) -> bytes:
    """Code for write(1, text), then _exit(3); the text lies behind it."""
    write = b"\xb8\x01\0\0\0\xbf\x01\0\0\0\xba" + struct.pack("<I", len(text))
    load = b"\x48\x8d\x35" + struct.pack("<i", 2 + len(_EXIT))
    return write + load + b"\x0f\x05" + _EXIT + text


def _elf(path: Path, code: bytes) -> Path:
    """Write the smallest program that does ``code``; see elf(5)."""
    base, start = 0x400000, 0x78
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 2, 62, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    size = start + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    path.write_bytes(header + segment + code)
    path.chmod(0o755)
    return path


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """Give files that are there, and nothing that could boot."""
    folder = tmp_path / "kit"
    folder.mkdir()
    kernel, initramfs, disk = (folder / name for name in _FILES)
    for path in (kernel, initramfs, disk):
        path.touch()
    return Runtime(kernel, initramfs, disk, key="0")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Give a way to put another program in QEMU's place."""

    def put(code: bytes) -> Path:
        path = _elf(tmp_path / "qemu", code)
        monkeypatch.setenv("STOCKADE_QEMU_BIN", str(path))
        return path

    return put


def _running(program: Path) -> list[str]:
    def target(process: Path) -> str:
        try:
            return str((process / "exe").readlink())
        except OSError:
            return ""

    return [path.name for path in Path("/proc").glob("[0-9]*") if target(path) == str(program)]


def _prove(runtime: Runtime, within: float) -> kvm.KvmVerdict:
    async def work() -> kvm.KvmVerdict:
        # Without KVM, so that it does not matter here whether there is any.
        return await prove(QemuMicrovm(kvm=False), runtime, within=within)

    return anyio.run(work)


def test_a_machine_that_never_answers_is_ended_at_the_deadline(
    runtime: Runtime, program: Callable[[bytes], Path]
) -> None:
    path = program(_PAUSE)
    verdict = _prove(runtime, 0.3)
    assert not verdict.usable
    assert verdict.reason == "a machine was not ready within 0.3 s"
    assert verdict.seconds is not None
    assert 0.3 <= verdict.seconds < 5
    assert _running(path) == []


def test_a_machine_that_ends_is_quoted_in_one_printable_line(
    runtime: Runtime, program: Callable[[bytes], Path]
) -> None:
    path = program(_say(b"first\nKVM is\x1b[31m broken\n"))
    verdict = _prove(runtime, 60)
    assert not verdict.usable
    assert verdict.reason == ("a machine did not start: the machine has ended: KVM is?[31m broken")
    assert _running(path) == []


def test_a_machine_that_ends_without_a_word_is_reported_too(
    runtime: Runtime, program: Callable[[bytes], Path]
) -> None:
    program(_EXIT)
    assert _prove(runtime, 60).reason == ("a machine did not start: the machine has ended")


def test_a_missing_jail_is_an_error_and_no_verdict(
    runtime: Runtime,
    program: Callable[[bytes], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    program(_EXIT)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="bwrap"):
        _prove(runtime, 60)


def test_no_device_is_refused_at_once(tmp_path: Path) -> None:
    assert refusal(tmp_path / "kvm") == f"there is no {tmp_path / 'kvm'}"


def test_what_is_not_kvm_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    assert refusal(tmp_path / "kvm").startswith(f"{tmp_path / 'kvm'} is not KVM: ")
    assert refusal(Path("/dev/null")).startswith("/dev/null is not KVM: ")


@pytest.fixture
def closed_device() -> Iterator[Path]:
    """Give a file in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        device = Path(folder) / "kvm"
        device.touch()
        yield device


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away, which only root may")
@pytest.mark.parametrize(
    ("mode", "group", "who"),
    [
        (0o660, GROUP, f"the group {GROUP}"),
        (0o600, GROUP, "root"),
        (0o640, GROUP, "root"),
        # Nobody should be told to join root's own group.
        (0o660, 0, "root"),
    ],
)
def test_a_device_closed_to_this_user_is_refused_with_who_may(
    closed_device: Path, mode: int, group: int, who: str
) -> None:
    os.chown(closed_device, 0, group)
    closed_device.chmod(mode)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    groups = os.getgroups()
    try:
        reason = refusal(closed_device)
    finally:
        os.seteuid(0)
        os.setegid(0)
    if 0 in groups and group == 0:
        pytest.skip("this root keeps its group when it becomes somebody else")
    assert reason == f"{closed_device} may be opened by {who} only"


class _Recorder(Silent):
    """Counts the proofs, each of which is a stage that the user sees."""

    proofs = 0

    def stage(self, title: str, done: float | None) -> None:
        self.proofs += "KVM" in title


@pytest.fixture
def ask(
    runtime: Runtime,
    program: Callable[[bytes], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Callable[..., int]:
    """Give a way to ask for a verdict and learn how many proofs that took."""
    if refusal():
        pytest.skip(refusal())
    program(_EXIT)
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(tmp_path / "cache"))

    async def prepare_runtime(_progress: object) -> Runtime:
        return runtime

    monkeypatch.setattr(kvm, "prepare_runtime", prepare_runtime)

    def ask_once(*, again: bool = False) -> int:
        recorder = _Recorder()

        async def work() -> kvm.KvmVerdict:
            return await kvm_verdict(recorder, again=again)

        assert not anyio.run(work).usable
        return recorder.proofs

    return ask_once


def test_an_answer_is_remembered_until_asked_again(ask: Callable[..., int]) -> None:
    assert [ask(), ask(), ask(), ask(again=True), ask()] == [1, 0, 0, 1, 0]


def test_another_qemu_or_kernel_is_asked_anew(
    ask: Callable[..., int], program: Callable[[bytes], Path], runtime: Runtime, tmp_path: Path
) -> None:
    assert ask() == 1
    program(_say(b"a newer one"))
    assert [ask(), ask()] == [1, 0]
    runtime.kernel.parent.rename(tmp_path / "other")
    for field, name in zip(("kernel", "initramfs", "disk"), _FILES, strict=True):
        object.__setattr__(runtime, field, tmp_path / "other" / name)
    assert [ask(), ask()] == [1, 0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"key": 1}', "\xff", "null"])
def test_a_damaged_memory_is_asked_anew(ask: Callable[..., int], text: str, tmp_path: Path) -> None:
    assert ask() == 1
    (tmp_path / "cache" / "kvm.json").write_text(text, encoding="latin-1")
    assert [ask(), ask()] == [1, 0]


@pytest.mark.parametrize(("hours", "proofs"), [(23, 0), (25, 1), (-1, 1)])
def test_a_refusal_holds_for_a_day(
    ask: Callable[..., int], hours: float, proofs: int, tmp_path: Path
) -> None:
    assert ask() == 1
    memory = tmp_path / "cache" / "kvm.json"
    known = json.loads(memory.read_text())
    known["checked"] -= hours * 3600
    memory.write_text(json.dumps(known))
    assert ask() == proofs


def test_a_proof_leaves_nothing_in_the_cache_but_its_answer(
    ask: Callable[..., int], tmp_path: Path
) -> None:
    ask()
    found = {path.name for path in (tmp_path / "cache").iterdir()}
    assert found == {"kvm.json", "locks"}


def test_without_qemu_there_is_no_kvm(
    ask: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(tmp_path / "none"))
    assert ask() == 0
