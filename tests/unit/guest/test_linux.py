"""System calls: what can be seen of them from outside."""

from __future__ import annotations

import subprocess
import sys

_OWNING = """
import os, re
from stockade.guest import linux

def shared() -> int:
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"Shared_Dirty:\\s+(\\d+) kB", file.read())[1])

end, theirs = os.pipe()
if os.fork() == 0:
    os.close(theirs)
    os.read(end, 1)
    os._exit(0)
before = shared()
linux.own_memory()
print(before, shared())
"""


def test_memory_shared_with_a_child_becomes_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _OWNING], check=True, capture_output=True, timeout=60
    )
    before, after = map(int, done.stdout.split())
    assert before > 1000  # KiB: all that a Python has written to
    assert after < before // 10
