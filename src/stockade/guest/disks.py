"""The machine's disks, found by the serial that the host has given each.

A machine is copied with more disks than its session may fill. Those are released before the copy
is taken: a driver that binds anew reads the size and the contents that the disk has by then.
"""

from __future__ import annotations

import os

from stockade.guest import linux

_DRIVER = "/sys/bus/virtio/drivers/virtio_blk"
_DEVICES = "/sys/bus/virtio/devices"


class Disks:
    """Virtio block devices: bound ones, and released ones that ``node`` binds when asked for."""

    def __init__(self) -> None:
        self._released: dict[str, str] = {}

    def node(self, serial: str) -> str:
        """Return the device node of the disk ``serial``; raise ``KeyError`` if there is none."""
        device = self._released.pop(serial, None)
        if device is None:
            return f"/dev/{_bound()[serial]}"
        linux.write_file(f"{_DRIVER}/bind", device)
        return f"/dev/{os.listdir(f'{_DEVICES}/{device}/block')[0]}"

    def release(self, prefix: str) -> None:
        """Unbind every disk whose serial begins with ``prefix``."""
        for serial, name in _bound().items():
            if serial.startswith(prefix):
                device = os.path.basename(os.readlink(f"/sys/block/{name}/device"))
                linux.write_file(f"{_DRIVER}/unbind", device)
                self._released[serial] = device


def _bound() -> dict[str, str]:
    """Map the serial of every disk that a driver serves to its name, such as ``vda``."""
    found = {}
    for name in os.listdir("/sys/block"):
        path = f"/sys/block/{name}/serial"
        if name.startswith("vd") and os.path.exists(path):
            found[linux.read_file(path).strip()] = name
    return found
