from __future__ import annotations

import pytest

from stockade.model.errors import ImageError, MachineError
from stockade.model.profile import Profile
from stockade.sandbox.blocking import BlockingSandbox


def test_nothing_can_be_asked_of_a_machine_that_does_not_run() -> None:
    box = BlockingSandbox()
    with pytest.raises(MachineError, match="not running"):
        box.exec(["true"])
    with pytest.raises(MachineError, match="not running"):
        box.files.read("/etc/hostname")


def test_a_start_that_fails_raises_the_plain_error_and_leaves_nothing_open() -> None:
    box = BlockingSandbox(Profile(image="nope"))
    with pytest.raises(ImageError, match="unknown image"), box:
        pass
    with pytest.raises(MachineError, match="not running"):
        box.stats()


@pytest.mark.machine
def test_a_machine_serves_code_that_is_not_async() -> None:
    with BlockingSandbox() as box:
        assert box.exec(["cat"], stdin=b"hello").text == "hello"
        box.files.make_folder("/tmp/d")
        box.files.write("/tmp/d/a", "text")
        assert box.files.read("/tmp/d/a") == b"text"
        assert [entry.name for entry in box.files.list("/tmp/d")] == ["a"]
        assert box.files.status("/tmp/d/a").size == 4
        box.files.remove("/tmp/d/a")
        assert box.files.list("/tmp/d") == []
        assert box.stats()["commands"] == 0
