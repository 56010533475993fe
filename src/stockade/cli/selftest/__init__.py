"""``stockade selftest``: attempts to get past the walls, on this host."""

COMMANDS = {
    "egress": "Try to reach what was not granted, on an internet of its own.",
}
