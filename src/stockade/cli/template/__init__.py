"""``stockade template``: list and remove the booted machines that others are copies of."""

COMMANDS = {
    "list": "List the templates in the cache, oldest first.",
    "remove": "Remove templates from the cache; machines copied from them go on.",
}
