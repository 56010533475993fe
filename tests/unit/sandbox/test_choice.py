from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stockade.model.profile import Wall, WallKind
from stockade.sandbox import kvm
from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.choice import choose_backend
from stockade.sandbox.images.prepare import prepare_runtime
from stockade.sandbox.kvm import kvm_verdict

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("minimum", list(WallKind))
async def test_the_wall_is_a_microvm_whatever_the_minimum(
    minimum: WallKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Without QEMU nothing is proved, and so nothing is booted.
    monkeypatch.setenv("STOCKADE_QEMU_BIN", str(tmp_path / "none"))
    assert await choose_backend(Wall(minimum=minimum)) == QemuMicrovm(kvm=False)


async def test_kvm_is_used_where_it_has_proved_itself() -> None:
    verdict = await kvm_verdict()
    assert await choose_backend(Wall()) == QemuMicrovm(kvm=verdict.usable)


async def test_a_runtime_that_is_given_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = await kvm_verdict()
    runtime = await prepare_runtime()

    async def ask(*_: object) -> None:
        pytest.fail("it was given")

    monkeypatch.setattr(kvm, "prepare_runtime", ask)
    assert await choose_backend(Wall(), runtime=runtime) == QemuMicrovm(kvm=verdict.usable)
