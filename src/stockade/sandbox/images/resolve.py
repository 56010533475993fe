"""From what the user calls an image to the source that builds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from stockade.model.errors import ImageError

if TYPE_CHECKING:
    from stockade.sandbox.images.sources.base import ImageSource

BUILT_IN = ("debian-python",)


def parse_image_ref(text: str) -> ImageSource:
    """Return the source for ``NAME``, ``dir:PATH`` or ``oci:REF``."""
    scheme, colon, rest = text.partition(":")
    if text in BUILT_IN:
        from stockade.sandbox.images.sources.debian import (  # noqa: PLC0415 - one of three
            DebianPython,
        )

        return DebianPython()
    if scheme in {"dir", "oci"} and colon and not rest:
        raise ImageError(f"image {text!r} names nothing after {scheme}:", hint=_FORMS)
    if "\0" in text:
        raise ImageError(f"image {text!r} has a NUL in its name", hint=_FORMS)
    if scheme == "dir" and colon:
        path = Path(os.path.expanduser(rest)).absolute()  # noqa: PTH111 - "~" as a shell would
        _check_text(str(path))
        from stockade.sandbox.images.sources.directory import (  # noqa: PLC0415 - one of three
            DirectoryImage,
        )

        return DirectoryImage(path)
    if scheme == "oci" and colon:
        _check_text(rest)
        from stockade.sandbox.images.sources.oci import OciImage  # noqa: PLC0415 - one of three

        return OciImage(rest)
    raise ImageError(f"unknown image {text!r}", hint=_suggestion(text))


def _check_text(name: str) -> None:
    """Refuse a file name that is not text: a manifest could not hold it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ImageError(
            f"image {name!r} has a name that is not UTF-8", hint="Give its folder another name."
        ) from None


_FORMS = f"Images are {', '.join(BUILT_IN)}, dir:PATH and oci:REF."


def _suggestion(text: str) -> str:
    if text.startswith(("/", "./", "../", "~")):
        return f"For a root directory write dir:{text}"
    import difflib  # noqa: PLC0415 - only a mistake needs it

    near = difflib.get_close_matches(text, BUILT_IN, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]}?"
    return _FORMS
