"""The main job on real input: run a published package's own test suite in a microVM.

The package's source comes from the package index by pip, which checks its hash and asks its build
backend for its metadata; neither its code nor its tests run on the host. The machine gets a
read-only copy, and the report says what the run took.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import anyio

from stockade import session
from stockade.cli.progress import Display
from stockade.cli.streams import InheritedStreams
from stockade.model.errors import StockadeError
from stockade.model.profile import FileGrant, Profile
from stockade.model.quantities import format_size

PACKAGE, VERSION = "click", "8.1.8"
SHA256 = "ed53c9d8990d83c2a27deae68e4ee337473f6330c040a31d4225c9574d16096a"
# pytest's cache would be written into the source, which is read-only.
COMMAND = ("python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests")


def download(folder: Path) -> Path:
    """Fetch and unpack the package's source distribution; return its folder."""
    wanted = folder / "requirement.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="ascii")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--no-binary", ":all:", "--dest", str(folder), "--requirement", str(wanted)),
        ],
        check=True,
    )
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as source:
        source.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def tell(report: session.Report) -> None:
    """Print what can be said about the run."""
    usage = report.outcome.usage
    boot = sum(report.timings.values())
    rows = {
        "wall": f"{report.wall} ({report.backend})",
        "kernel inside": report.kernel,
        "kernel outside": report.host_kernel,
        "time": f"{report.seconds:.1f} s, of which {boot:.1f} s to start the machine",
        "CPU inside": f"{usage.cpu_user + usage.cpu_system:.1f} s",
        "memory peak": format_size(usage.memory_peak, exact=False),
        "exit code": f"{report.outcome.code} {report.outcome.reason}".strip(),
    }
    print(f"\nThe machine {report.session} is gone. What it did:")
    for name, value in rows.items():
        print(f"  {name:15} {value}")


async def demonstrate(source: Path) -> int:
    """Run the package's tests in a machine of its own."""
    profile = Profile(
        name="demo",
        files=(FileGrant(host=source, guest="/workspace"),),
        env={"PYTHONPATH": "/workspace/src", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    with Display() as display:
        report = await session.run(
            profile, COMMAND, InheritedStreams(), progress=display, started=display.finish
        )
    tell(report)
    return report.outcome.code


def main() -> int:
    """Download, run, report; the exit code is that of the tests."""
    with tempfile.TemporaryDirectory(prefix="stockade-demo-") as folder:
        print(f"Downloading the source of {PACKAGE} {VERSION} ...", flush=True)
        try:
            source = download(Path(folder))
        except subprocess.CalledProcessError:
            print("stockade: pip could not download it; see its message above", file=sys.stderr)
            return 125
        print(f"Running its tests in a microVM: {' '.join(COMMAND)}", flush=True)
        try:
            return anyio.run(demonstrate, source)
        except StockadeError as error:
            print(f"stockade: {error}. {error.hint}", file=sys.stderr)
            return 125


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
