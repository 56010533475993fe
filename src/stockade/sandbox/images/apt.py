"""Which Debian mirrors to build from: the host's own, if it is the same Debian release."""

from __future__ import annotations

from pathlib import Path

from stockade.model.errors import MissingToolError
from stockade.sandbox.images.programs import run

RELEASE = "bookworm"
_SUITES = (RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# apt leaves a field that it does not know as it is, such as the origin of a list not yet fetched.
_ORIGINS = ("Debian", "$(ORIGIN)")
_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"


async def host_sources() -> list[str]:
    """Return the host's apt sources of this release as ``deb`` lines.

    Empty if the host runs something else; then mmdebstrap uses the mirrors that it knows.
    """
    try:
        finished = await run(
            ["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"], package="apt"
        )
    except MissingToolError:
        return []
    return deb_lines(finished.stdout.decode(errors="replace"), keyring=_KEYRING)


def deb_lines(targets: str, *, keyring: Path) -> list[str]:
    """Pick this release's main archive out of what ``apt-get indextargets`` lists."""
    option = f"[signed-by={keyring}] " if keyring.exists() else ""
    lines: dict[str, None] = {}
    suites = set()
    for target in targets.splitlines():
        fields = target.split(" ")
        if len(fields) != 4:
            continue
        uri, suite, component, origin = fields
        if suite in _SUITES and component == "main" and origin in _ORIGINS:
            lines[f"deb {option}{uri} {suite} main"] = None
            suites.add(suite)
    # Without security updates the host's list is not one to build from.
    return list(lines) if {RELEASE, f"{RELEASE}-security"} <= suites else []
