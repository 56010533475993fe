"""``stockade checkpoint``: take, list and remove the moments that machines can go back to."""

COMMANDS = {
    "take": "Save a running machine as it is now, and let it go on.",
    "list": "List the checkpoints, oldest first; paused machines are among them.",
    "remove": "Remove a checkpoint; machines that went on from it are not concerned.",
}
