from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.errors import ImageError
from stockade.sandbox.images.resolve import BUILT_IN, parse_image_ref
from stockade.sandbox.images.sources.debian import DebianPython
from stockade.sandbox.images.sources.directory import DirectoryImage
from stockade.sandbox.images.sources.oci import OciImage


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("debian-python", DebianPython, "debian-python"),
        ("dir:/srv/root", DirectoryImage, "dir:/srv/root"),
        ("dir:/srv/a:b", DirectoryImage, "dir:/srv/a:b"),
        ("oci:registry.example/app:1.0", OciImage, "oci:registry.example/app:1.0"),
    ],
)
def test_each_form_has_its_source(text: str, kind: type, name: str) -> None:
    source = parse_image_ref(text)
    assert type(source) is kind
    assert source.name == name


def test_a_relative_path_is_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_image_ref("dir:root").name == f"dir:{tmp_path}/root"


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_image_ref("dir:~/root").name == f"dir:{tmp_path}/root"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "unknown image ''", "Images are debian-python, dir:PATH and oci:REF."),
        ("ubuntu", "unknown image 'ubuntu'", "Images are"),
        ("debian", "unknown image 'debian'", "Did you mean debian-python?"),
        ("debian-pyhton", "unknown image", "Did you mean debian-python?"),
        ("Debian-python", "unknown image", "Did you mean debian-python?"),
        ("/srv/root", "unknown image", "For a root directory write dir:/srv/root"),
        ("./root", "unknown image", "For a root directory write dir:./root"),
        ("~/root", "unknown image", "For a root directory write dir:~/root"),
        ("docker:app", "unknown image", "Images are"),
        ("DIR:/srv", "unknown image", "Images are"),
        ("dir", "unknown image 'dir'", "Images are"),
        ("dir:", "names nothing after dir:", "Images are"),
        ("oci:", "names nothing after oci:", "Images are"),
        ("dir:/a\0b", "has a NUL", "Images are"),
        ("oci:a\0b", "has a NUL", "Images are"),
        ("dir:/srv/\udcff", "has a name that is not UTF-8", "another name"),
        ("oci:/srv/\udcff", "has a name that is not UTF-8", "another name"),
        ("oci:" + "n" * 300, "File name too long", ""),
        ("oci:/nonexistent", "no OCI layout is there", "oci:FOLDER:TAG"),
    ],
)
def test_what_names_no_image_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        parse_image_ref(text)
    assert hint in caught.value.hint


def test_a_relative_path_below_a_name_that_is_not_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(ImageError, match="not UTF-8"):
        parse_image_ref("dir:root")


@given(st.text(st.characters()) | st.from_regex(r"\A(dir|oci):[a-z/.:~@\x00\udcff]*\Z"))
def test_any_text_names_a_source_or_is_refused_in_words(text: str) -> None:
    try:
        source = parse_image_ref(text)
    except ImageError:
        return
    assert text in BUILT_IN or text.startswith(("dir:", "oci:"))
    # A manifest must be able to hold it.
    assert source.name.encode()
