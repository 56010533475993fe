from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stockade.model.errors import UsageError
from stockade.model.limits import Limits
from stockade.model.profile import MAX_FILES, Access, FileGrant, Profile, Wall, WallKind


def _refusal(**fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate(fields)
    return "; ".join(detail["msg"] for detail in caught.value.errors())


def test_a_profile_that_says_nothing_grants_nothing() -> None:
    profile = Profile()
    assert (profile.version, profile.name, profile.image) == (1, "default", "debian-python")
    assert profile.wall.minimum is WallKind.MICROVM
    assert (profile.files, profile.env, profile.limits) == ((), {}, Limits())


def test_what_is_not_known_is_not_accepted() -> None:
    assert "Extra inputs are not permitted" in _refusal(filez=[])


@pytest.mark.parametrize("version", [0, 2, True, 1.0, "1", None])
def test_only_version_1_exists(version: object) -> None:
    assert "must be 1" in _refusal(version=version)


@pytest.mark.parametrize("name", ["", "Codefix", "-a", "a_b", "a\n", "a" * 64, "é", "\ud800"])
def test_names_fit_in_file_and_host_names(name: str) -> None:
    assert _refusal(name=name)


@pytest.mark.parametrize(
    "image", ["", "-x", " a", "a\nb", "a\0", "dir:", "dir:~/x", "\ud800", "x" * 5000]
)
def test_images_that_cannot_be_meant(image: str) -> None:
    assert _refusal(image=image)


@pytest.mark.parametrize(
    ("image", "read"),
    [
        ("debian-python", "debian-python"),
        ("oci:docker.io/library/alpine:3", "oci:docker.io/library/alpine:3"),
        ("dir:rootfs", "dir:/base/rootfs"),
        ("dir:/srv/rootfs", "dir:/srv/rootfs"),
    ],
)
def test_folders_of_images_are_relative_to_the_profile(image: str, read: str) -> None:
    profile = Profile.model_validate({"image": image}, context={"base": Path("/base")})
    assert profile.image == read


def test_walls_are_known_by_name() -> None:
    assert Profile.model_validate({"wall": {"minimum": "container"}}).wall == Wall(
        minimum=WallKind.CONTAINER
    )
    assert "'microvm', 'gvisor' or 'container'" in _refusal(wall={"minimum": "chroot"})


@pytest.mark.parametrize(
    ("guest", "read"),
    [
        ("/workspace", "/workspace"),
        ("/workspace/", "/workspace"),
        ("//a/./b//c", "/a/b/c"),
        ("/process", "/process"),
        ("/home/dev", "/home/dev"),
        ("/héé/工作", "/héé/工作"),
    ],
)
def test_guest_paths_are_normalised(guest: str, read: str) -> None:
    assert FileGrant(host=Path("x"), guest=guest).guest == read


# fmt: off
_NOT_GUEST_PATHS = [
    "", "workspace", "./a", "/", "//", "/.", "/..", "/a/../b", "/a/..", "/proc", "/proc/self",
    "/sys", "/sys/fs/cgroup", "/dev", "/dev/shm", "//dev", "/./dev/x", "/a\0b", "/a\nb",
    "/a\x1b[2J", "/\u202eb", "/" + "a" * 256, "/" + "é" * 128, "/a" * 2049, "/\ud800",
]
# fmt: on


@pytest.mark.parametrize("guest", _NOT_GUEST_PATHS)
def test_guest_paths_that_are_refused(guest: str) -> None:
    with pytest.raises(ValidationError):
        FileGrant(host=Path("x"), guest=guest)


@given(st.text(alphabet="/.ab\0\n\u2025procsysdev", max_size=24))
def test_a_guest_path_never_leaves_its_place(guest: str) -> None:
    try:
        path = FileGrant(host=Path("x"), guest=guest).guest
    except ValidationError:
        return
    parts = path.split("/")
    assert parts[0] == ""
    assert len(parts) > 1
    assert not set(parts[1:]) & {"", ".", ".."}
    assert parts[1] not in {"proc", "sys", "dev"}


@pytest.mark.parametrize("host", ["", "a\0b", "~/x", "~root", "a" * 4097, "\ud800", 7, None, b"x"])
def test_host_paths_that_are_refused(host: object) -> None:
    with pytest.raises(ValidationError):
        FileGrant.model_validate({"host": host, "guest": "/x"})


def test_host_paths_that_are_not_utf8_are_kept() -> None:
    assert FileGrant(host=Path("a\udcff"), guest="/x").host == Path("a\udcff")


def test_host_paths_are_relative_to_the_profile() -> None:
    grants = [{"host": "../shop", "guest": "/a"}, {"host": "/srv/x", "guest": "/b"}]
    profile = Profile.model_validate({"files": grants}, context={"base": Path("/base/here")})
    assert [str(grant.host) for grant in profile.files] == ["/base/here/../shop", "/srv/x"]


def test_grants_are_sorted_so_that_the_outer_is_mounted_first() -> None:
    guests = ["/w/a/b", "/w-x", "/w/a", "/w", "/b"]
    files = tuple(FileGrant(host=Path("x"), guest=guest) for guest in guests)
    assert [grant.guest for grant in Profile(files=files).files] == [
        "/b",
        "/w",
        "/w/a",
        "/w/a/b",
        "/w-x",
    ]


def test_two_grants_never_share_a_path() -> None:
    grants = [{"host": "a", "guest": "/w"}, {"host": "b", "guest": "/w/."}]
    assert "guest path '/w' is used twice" in _refusal(files=grants)


def test_grants_are_bounded() -> None:
    def grants(count: int) -> list[dict[str, str]]:
        return [{"host": "a", "guest": f"/w{index}"} for index in range(count)]

    assert len(Profile.model_validate({"files": grants(MAX_FILES)}).files) == MAX_FILES
    assert "at most 16" in _refusal(files=grants(MAX_FILES + 1))


@pytest.mark.parametrize(
    "env",
    [
        {"": "x"},
        {"1A": "x"},
        {"A-B": "x"},
        {"A=B": "x"},
        {"É": "x"},
        {"A\n": "x"},
        {"A" * 256: "x"},
        {"A": "\0"},
        {"A": 1},
        {"A": None},
        {"A": "\ud800"},
        {"A": "x" * 131_072},
        {f"A{index}": "x" for index in range(257)},
        [],
    ],
    ids=str,
)
def test_environments_that_are_refused(env: object) -> None:
    assert _refusal(env=env)


def test_environments_that_are_accepted() -> None:
    env = {"PATH": "/bin", "_": "", "lower_1": "two\nlines = é"}
    assert Profile(env=env).env == env


@pytest.mark.parametrize(
    ("text", "host", "guest", "access"),
    [
        ("./shop:/workspace", "shop", "/workspace", Access.READ),
        ("shop:/w:read", "shop", "/w", Access.READ),
        ("shop:/w:overlay", "shop", "/w", Access.OVERLAY),
        ("a:b:/w", "a:b", "/w", Access.READ),
        ("a:/b:/w:overlay", "a:/b", "/w", Access.OVERLAY),
        ("/srv/x:/read", "/srv/x", "/read", Access.READ),
        ("read:/overlay:overlay", "read", "/overlay", Access.OVERLAY),
    ],
)
def test_grants_are_read_from_the_right(text: str, host: str, guest: str, access: Access) -> None:
    grant = FileGrant.parse(text)
    assert (str(grant.host), grant.guest, grant.access) == (host, guest, access)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a file grant"),
        ("shop", "is not a file grant"),
        ("shop:", "is not a file grant"),
        (":/w", "is not a file grant"),
        ("shop:read", "is not a file grant"),
        (":/w:read", "is not a file grant"),
        ("shop:/w:wread", "access must be 'read' or 'overlay', not 'wread'; did you mean 'read'"),
        ("shop:/w:", "access must be"),
        ("shop:w", "'w' is not absolute"),
        ("shop:/proc/1", "machine's own"),
        ("shop:/w/../x", "must not contain '..'"),
        ("~/shop:/w", "'~' is not expanded"),
    ],
)
def test_grants_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        FileGrant.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet=st.sampled_from(":/abread~.\0\n\ud800"), max_size=20))
def test_any_text_is_a_grant_or_a_usage_error(text: str) -> None:
    try:
        grant = FileGrant.parse(text)
    except UsageError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ends are accepted
    else:
        assert grant.guest.startswith("/")


def test_amend_adds_to_a_profile() -> None:
    before = Profile(
        name="codefix", env={"A": "1", "B": "2"}, files=(FileGrant.parse("a:/w/inner"),)
    )
    after = before.amend(
        image="other",
        files=[FileGrant.parse("b:/w")],
        env={"B": "3"},
        limits=Limits(cpus=2),
    )
    assert (after.name, after.image, after.limits.cpus) == ("codefix", "other", 2)
    assert after.env == {"A": "1", "B": "3"}
    assert [grant.guest for grant in after.files] == ["/w", "/w/inner"]
    assert before.amend() == before


@pytest.mark.parametrize(
    ("env", "message"),
    [({"1A": "x"}, "env.1A: must match"), ({"A": "\0"}, "env.A: must not contain a NUL")],
)
def test_amend_says_what_is_wrong(env: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Profile().amend(env=env)
    assert message in str(caught.value)


def test_amend_refuses_a_path_that_the_profile_uses() -> None:
    profile = Profile(files=(FileGrant.parse("a:/w"),))
    with pytest.raises(UsageError, match="'/w' is used twice"):
        profile.amend(files=[FileGrant.parse("b:/w/")])


def test_every_field_of_the_schema_is_explained() -> None:
    schema = Profile.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    for model in models:
        for name, field in model.get("properties", {}).items():
            assert field.get("description"), name
