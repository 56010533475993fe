from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from stockade.model.errors import ImageError, MissingToolError
from stockade.sandbox.images.cache import Cache
from stockade.sandbox.images.prepare import prepare
from stockade.sandbox.images.sources.oci import OciImage
from stockade.sandbox.images.store import Image

_IMAGE = "application/vnd.oci.image"


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> Any:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.mtime = kind, link, mode, 1_000_000_000
    return entry


def _file(name: str, content: bytes = b"content", mode: int = 0o644) -> tuple[Any, bytes]:
    entry = _entry(name, mode=mode)
    entry.size = len(content)
    return entry, content


def _folder(name: str, mode: int = 0o755) -> tuple[Any, bytes]:
    return _entry(name, tarfile.DIRTYPE, mode=mode), b""


def _symlink(name: str, target: str) -> tuple[Any, bytes]:
    return _entry(name, tarfile.SYMTYPE, target), b""


def _hard_link(name: str, target: str) -> tuple[Any, bytes]:
    return _entry(name, tarfile.LNKTYPE, target), b""


def _layer(*members: tuple[Any, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry, content in members:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


_BASE = _layer(_folder("./"), _folder("etc"), _file("etc/motd", b"welcome\n"), _file("hello"))


class Layout:
    """An OCI image layout (image-spec, image-layout.md), written by hand so that it may be odd."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifests: list[dict[str, Any]] = []
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, content: bytes) -> Path:
        return self.folder / "blobs" / "sha256" / hashlib.sha256(content).hexdigest()

    def add(self, *layers: bytes, tag: str = "latest", config: object = None) -> Path:
        """Add an image and return the folder."""
        about = {
            "architecture": "amd64",
            "os": "linux",
            "config": config or {},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers],
            },
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_IMAGE}.manifest.v1+json",
            "config": self._put(json.dumps(about).encode(), "config.v1+json"),
            "layers": [self._put(layer, "layer.v1.tar") for layer in layers],
        }
        entry = self._put(json.dumps(manifest).encode(), "manifest.v1+json")
        names = {"org.opencontainers.image.ref.name": tag}
        self._manifests.append({**entry, "annotations": names})
        index = {"schemaVersion": 2, "manifests": self._manifests}
        (self.folder / "index.json").write_text(json.dumps(index))
        return self.folder

    def _put(self, content: bytes, kind: str) -> dict[str, Any]:
        self.blob(content).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return {
            "mediaType": f"{_IMAGE}.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }


@pytest.fixture
def layout(cache: Cache, tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


@pytest.fixture
def nothing_left(cache: Cache) -> Callable[[], bool]:
    """Give a way to see that a build left neither a half image nor scratch space."""
    return lambda: not (cache.root / "images").exists() and not [*(cache.root / "tmp").iterdir()]


def _prepare(folder: Path | str) -> Image:
    return anyio.run(prepare, f"oci:{folder}")


def test_layers_lie_on_top_of_each_other(layout: Layout, extract: Callable[[Path], Path]) -> None:
    upper = _layer(_file("etc/.wh.motd", b""), _file("hello", b"changed"), _file("new"))
    out = extract(_prepare(layout.add(_BASE, upper)).path)
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == ["etc", "hello", "new"]
    assert (out / "hello").read_bytes() == b"changed"


def test_an_opaque_folder_hides_what_lies_below(
    layout: Layout, extract: Callable[[Path], Path]
) -> None:
    upper = _layer(_folder("etc"), _file("etc/.wh..wh..opq", b""), _file("etc/other"))
    out = extract(_prepare(layout.add(_BASE, upper)).path)
    assert [path.name for path in (out / "etc").iterdir()] == ["other"]


def test_environment_and_working_directory_are_kept(layout: Layout) -> None:
    config = {"Env": ["GREETING=a=b", "EMPTY=", "PATH=/opt/bin"], "WorkingDir": "/etc"}
    manifest = _prepare(layout.add(_BASE, config=config)).manifest
    assert manifest.workdir == "/etc"
    wanted = {"GREETING": "a=b", "EMPTY": "", "PATH": "/opt/bin"}
    assert wanted.items() <= manifest.env.items()


@pytest.mark.parametrize(("given", "read"), [("", "/"), ("srv/app", "/srv/app")])
def test_a_working_directory_is_absolute(layout: Layout, given: str, read: str) -> None:
    assert _prepare(layout.add(_BASE, config={"WorkingDir": given})).manifest.workdir == read


def test_tags_of_one_image_keep_their_own_environment(layout: Layout) -> None:
    for tag in ("test", "live"):
        layout.add(_BASE, tag=tag, config={"Env": [f"MODE={tag}"]})
    for tag in ("test", "live", "test"):
        assert _prepare(f"{layout.folder}:{tag}").manifest.env["MODE"] == tag


def test_rights_and_times_are_kept(layout: Layout, inode: Callable[[Path, str], str]) -> None:
    image = _prepare(layout.add(_layer(_folder("./"), _file("run", mode=0o750))))
    assert "Access: 0750" in inode(image.path, "/run")
    assert "2001-09-09" in inode(image.path, "/run")


def test_the_same_image_built_twice_has_the_same_digest(layout: Layout) -> None:
    folder = layout.add(_BASE)
    first = _prepare(folder)
    again = anyio.run(lambda: prepare(f"oci:{folder}", rebuild=True))
    assert again.manifest.digest == first.manifest.digest


def test_a_changed_layout_is_another_image(layout: Layout) -> None:
    before = _prepare(f"{layout.add(_BASE, tag='one')}:one")
    layout.add(_layer(_file("other")), tag="two")
    assert _prepare(f"{layout.folder}:one").manifest.digest == before.manifest.digest
    assert _prepare(f"{layout.folder}:two").manifest.digest != before.manifest.digest


@pytest.mark.parametrize("name", ["with:colon", "with space", "-dash", "a:b:c"])
def test_a_layout_is_found_whatever_its_folder_is_called(
    cache: Cache, tmp_path: Path, name: str
) -> None:
    folder = Layout(tmp_path / name).add(_BASE)
    layout = _prepare(folder)
    assert _prepare(f"{folder}:latest").manifest.digest == layout.manifest.digest
    assert {path.name for path in tmp_path.iterdir()} == {name, "cache"}


def test_a_cache_whose_name_has_a_colon_is_used_and_nothing_beside_it(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "odd:cache"
    monkeypatch.setenv("STOCKADE_CACHE_DIR", str(cache))
    image = _prepare(layout.add(_BASE))
    assert image.path.is_relative_to(cache)
    assert {path.name for path in tmp_path.iterdir()} == {"layout", "odd:cache"}


def test_a_link_to_a_layout_is_followed(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(layout.add(_BASE))
    assert _prepare(tmp_path / "alias").manifest.size > 0


def test_a_relative_layout_is_of_the_current_directory(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(layout.add(_BASE).parent)
    assert _prepare("layout:latest").manifest.name == "oci:layout:latest"


# What a hostile image tries to write outside of its tree, and to bring in from there.
_CLIMBS = "../" * 40


def test_a_layer_with_names_that_climb_stays_in_its_tree(
    layout: Layout, tmp_path: Path, extract: Callable[[Path], Path]
) -> None:
    outside = tmp_path / "outside"
    layer = _layer(
        _folder("./"),
        _file(f"{_CLIMBS}{outside}/climbed"),
        _file(f"{outside}/absolute"),
        _file(f"etc/{_CLIMBS}{outside}/later"),
    )
    out = extract(_prepare(layout.add(layer)).path)
    assert not outside.exists()
    inside = out / outside.relative_to("/")
    assert {path.name for path in inside.iterdir()} <= {"climbed", "absolute", "later"}


@pytest.mark.parametrize("target", ["absolute", "relative", "through another"])
def test_a_layer_cannot_write_through_a_link_that_leads_out(
    layout: Layout, tmp_path: Path, target: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    link = f"{_CLIMBS}{outside}" if target == "relative" else str(outside)
    members = [_folder("./"), _symlink("door", link)]
    if target == "through another":
        members = [_folder("./"), _symlink("first", str(outside)), _symlink("door", "first")]
    files = [_file("door/planted"), _file("door/precious", b"gone"), _file("door/.wh.precious")]
    # In one layer, and in one on top of another.
    _prepare(layout.add(_layer(*members, *files)))
    _prepare(f"{layout.add(_layer(*members), _layer(*files), tag='two')}:two")
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_text() == "precious"


@pytest.mark.parametrize("climbs", ["", _CLIMBS])
def test_a_layer_cannot_take_in_a_file_of_the_host_by_a_hard_link(
    layout: Layout, tmp_path: Path, climbs: str, nothing_left: Callable[[], bool]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's secret")
    layer = _layer(_folder("./"), _hard_link("stolen", f"{climbs}{secret}"))
    with pytest.raises(ImageError, match="cannot unpack image"):
        _prepare(layout.add(layer))
    assert nothing_left()


@pytest.mark.parametrize("name", [".", "./", "/", "..", "../", "", "etc/..", "../rootfs"])
def test_the_root_of_an_image_cannot_become_a_link_that_leads_out(
    layout: Layout, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's secret")
    link = _layer(_symlink(name, str(outside)), _file("planted"))
    for tag, layers in (("only", [link]), ("upper", [_BASE, link])):
        with contextlib.suppress(ImageError):
            image = _prepare(f"{layout.add(*layers, tag=tag)}:{tag}")
            assert b"the host's secret" not in image.path.read_bytes()
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_link_to_a_secret_of_the_host_stays_a_link(
    layout: Layout, tmp_path: Path, extract: Callable[[Path], Path]
) -> None:
    (tmp_path / "secret").write_text("the host's secret")
    image = _prepare(layout.add(_layer(_folder("./"), _symlink("s", f"{tmp_path}/secret"))))
    assert b"the host's secret" not in image.path.read_bytes()
    assert (extract(image.path) / "s").readlink() == tmp_path / "secret"


def test_a_whiteout_cannot_remove_what_lies_outside(layout: Layout, cache: Cache) -> None:
    (cache.root / "tmp").mkdir(parents=True)
    layer = _layer(_folder("./"), _file("../.wh.layout", b""), _file(".wh...", b""))
    # Refused or taken for a whiteout within the tree: either is right.
    with contextlib.suppress(ImageError):
        _prepare(layout.add(_BASE, layer))
    assert layout.folder.exists()
    assert cache.root.exists()


def test_special_files_are_never_opened(layout: Layout, inode: Callable[[Path, str], str]) -> None:
    device = _entry("memory", tarfile.CHRTYPE)
    device.devmajor, device.devminor = 1, 1
    layer = _layer(_folder("./"), (device, b""), (_entry("fifo", tarfile.FIFOTYPE), b""))
    image = _prepare(layout.add(layer))
    assert "fifo" in inode(image.path, "/fifo")
    # An ordinary user cannot make devices; umoci puts an empty file there.
    kind = "char dev" if os.geteuid() == 0 else "regular file"
    assert kind in inode(image.path, "/memory")


def test_closed_folders_leave_no_scratch_space(layout: Layout, cache: Cache) -> None:
    closed = [_folder("closed", 0o500), _folder("closed/below", 0o000)]
    assert _prepare(layout.add(_layer(_folder("./"), *closed))).manifest.size > 0
    assert [*(cache.root / "tmp").iterdir()] == []


def _truncate_blob(layout: Layout) -> None:
    layout.blob(_BASE).write_bytes(_BASE[:-600])


def _change_blob(layout: Layout) -> None:
    layout.blob(_BASE).write_bytes(_BASE.replace(b"welcome", b"pwned!!"))


def _remove_blob(layout: Layout) -> None:
    layout.blob(_BASE).unlink()


def _cut_index(layout: Layout) -> None:
    (layout.folder / "index.json").write_text('{"schemaVersion": 2, "manif')


def _other_index(layout: Layout) -> None:
    (layout.folder / "index.json").write_text("[]")


def _empty_index(layout: Layout) -> None:
    (layout.folder / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')


@pytest.mark.parametrize(
    "damage",
    [_truncate_blob, _change_blob, _remove_blob, _cut_index, _other_index, _empty_index],
)
def test_a_damaged_layout_is_refused_and_leaves_nothing(
    layout: Layout, damage: Callable[[Layout], None], nothing_left: Callable[[], bool]
) -> None:
    folder = layout.add(_BASE)
    damage(layout)
    with pytest.raises(ImageError, match=f"cannot copy image oci:{folder}: "):
        _prepare(folder)
    assert nothing_left()


def test_a_layer_that_is_no_archive_is_refused(
    layout: Layout, nothing_left: Callable[[], bool]
) -> None:
    with pytest.raises(ImageError, match="cannot unpack image"):
        _prepare(layout.add(b"no archive" * 1000))
    assert nothing_left()


@pytest.mark.parametrize(
    "config", [{"User": "nobody-at-all"}, {"Env": ["=x"]}, {"Env": "x"}, {"WorkingDir": 5}, [1]]
)
def test_a_configuration_that_makes_no_sense_is_refused(
    layout: Layout, config: object, nothing_left: Callable[[], bool]
) -> None:
    with pytest.raises(ImageError, match=r"^cannot (copy|unpack) image"):
        _prepare(layout.add(_BASE, config=config))
    assert nothing_left()


def test_a_tag_that_is_not_there_is_refused(layout: Layout) -> None:
    with pytest.raises(ImageError, match="cannot copy image"):
        _prepare(f"{layout.add(_BASE)}:nope")


@pytest.mark.parametrize("ref", ["/nonexistent", "./nonexistent:tag", "../nonexistent"])
def test_a_folder_without_a_layout_is_refused_and_not_looked_for_elsewhere(ref: str) -> None:
    with pytest.raises(ImageError, match="no OCI layout is there"):
        OciImage(ref)


def test_a_layout_that_went_away_is_told(layout: Layout, tmp_path: Path) -> None:
    source = OciImage(str(layout.add(_BASE)))
    layout.folder.rename(tmp_path / "moved")
    with pytest.raises(ImageError, match=r"No such file or directory: index\.json"):
        anyio.run(source.key)


def test_a_layout_that_may_not_be_read_is_told(
    layout: Layout, ordinarily: Callable[..., str]
) -> None:
    code = """
import sys
from stockade.model.errors import ImageError
from stockade.sandbox.images.sources.oci import OciImage
try:
    OciImage(sys.argv[1])
except ImageError as error:
    print(error)
"""
    folder = layout.add(_BASE)
    folder.chmod(0o000)
    said = ordinarily(code, folder)
    folder.chmod(0o755)
    assert said == f"image oci:{folder}: Permission denied\n"


def test_a_registry_that_does_not_answer_is_told(nothing_left: Callable[[], bool]) -> None:
    # Port 1 of this host: nobody listens, so that no network is asked.
    with pytest.raises(ImageError, match=r"^cannot copy image oci:127\.0\.0\.1:1/app: skopeo: "):
        _prepare("127.0.0.1:1/app")
    assert nothing_left()


@pytest.mark.usefixtures("without_programs")
def test_without_skopeo_it_says_how_to_install_it(layout: Layout) -> None:
    with pytest.raises(MissingToolError, match="skopeo is not installed"):
        _prepare(layout.add(_BASE))


_PREPARE = """
import anyio, sys
from stockade.sandbox.images.prepare import prepare
print(anyio.run(prepare, f"oci:{sys.argv[1]}").path)
"""


def test_an_ordinary_users_files_belong_to_root_in_the_image(
    layout: Layout, ordinarily: Callable[..., str], inode: Callable[[Path, str], str]
) -> None:
    owned = _file("etc/owned")
    owned[0].uid = owned[0].gid = 1234
    device = _entry("null", tarfile.CHRTYPE)
    folder = layout.add(_layer(_folder("./"), _folder("etc"), owned, (device, b"")))
    image = Path(ordinarily(_PREPARE, folder).strip())
    for path in ("/", "/etc/owned", "/null"):
        assert "Uid: 0   Gid: 0" in inode(image, path)
    assert "regular file" in inode(image, "/null")


def test_an_ordinary_user_can_use_an_image_with_closed_files(
    layout: Layout, ordinarily: Callable[..., str], inode: Callable[[Path, str], str]
) -> None:
    closed = [_folder("etc", 0o000), _file("etc/shadow", mode=0o000), _file("run", mode=0o4111)]
    folder = layout.add(_layer(_folder("./"), *closed))
    image = Path(ordinarily(_PREPARE, folder).strip())
    # Root, whose they are in the guest, may read them anyway; nobody else can.
    assert "Access: 0500" in inode(image, "/etc")
    assert "Access: 0400" in inode(image, "/etc/shadow")
    assert "Access: 0511" in inode(image, "/run")


@pytest.mark.skipif(os.geteuid() != 0, reason="keeps owners, which only root may")
def test_built_by_root_every_file_keeps_its_owner(
    layout: Layout, inode: Callable[[Path, str], str]
) -> None:
    owned = _file("owned")
    owned[0].uid, owned[0].gid = 1234, 5678
    image = _prepare(layout.add(_layer(_folder("./"), owned)))
    assert "Uid: 1234   Gid: 5678" in inode(image.path, "/owned")
