"""What the doctor says about this host is what machines find here."""

from __future__ import annotations

import anyio
import pytest

from stockade.sandbox.backends.qemu_microvm import QemuMicrovm
from stockade.sandbox.doctor import Finding, Status, examine, walls
from stockade.sandbox.images.prepare import prepare_runtime
from stockade.sandbox.kvm import KvmVerdict, kvm_verdict, prove

pytestmark = pytest.mark.machine


def test_the_microvm_wall_is_usable_here_and_kvm_is_judged_by_a_proof() -> None:
    async def work() -> tuple[list[Finding], KvmVerdict]:
        await prepare_runtime()
        return await examine(), await kvm_verdict()

    findings, verdict = anyio.run(work)
    microvm = walls(findings)[0]
    assert microvm.wall == "microvm"
    assert microvm.usable, microvm.detail
    kvm = next(found for found in findings if found.name == "kvm")
    assert (kvm.status is Status.OK) is verdict.usable
    assert kvm.detail == verdict.reason


def test_a_machine_that_boots_proves_its_backend() -> None:
    async def work() -> KvmVerdict:
        # Emulation works everywhere, so the proof itself is proved where there is no KVM.
        return await prove(QemuMicrovm(kvm=False), await prepare_runtime(), within=120)

    verdict = anyio.run(work)
    assert verdict.usable, verdict.reason
    assert verdict.seconds is not None
    assert verdict.reason == f"a machine was ready in {verdict.seconds:.2f} s"
