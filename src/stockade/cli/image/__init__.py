"""``stockade image``: build, list and remove guest images."""

COMMANDS = {
    "build": "Build an image, and what every machine needs, unless they are there.",
    "list": "List the images in the cache, oldest first.",
    "remove": "Remove an image from the cache; machines that run from it go on.",
}
