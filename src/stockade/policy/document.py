"""Profiles as people write them: YAML in, a profile or every problem with its line out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from stockade.model.document import ProfileDocument
from stockade.model.errors import ProfileError
from stockade.model.profile import Profile
from stockade.model.quantities import KIB, format_size
from stockade.model.wording import place, quote
from stockade.policy.extends import compose, excesses
from stockade.policy.problems import as_written, problems_of
from stockade.policy.yamltree import MAX_PROBLEMS, Position, Problem, Tree, position_of, read_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BYTES = 256 * KIB
MAX_CHAIN = 8
"""Profiles that extend one another, the first and the last included."""

Read = Callable[[Path], bytes]
"""Reads a file to its end or to one byte more than ``MAX_BYTES``; ``ProfileError`` if it cannot."""


class ProfileDocumentError(ProfileError):
    """A profile's text is wrong; the message is the first problem and the hint names the others."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        first, *others = problems
        hint = first.hint
        if others:
            rest = "; ".join(f"line {other.line}: {other.message}" for other in others)
            hint = f"{hint} Fix as well: {rest}".strip()
        super().__init__(f"{source}:{first.line}: {first.message}", hint=hint)
        self.source = source
        self.problems = problems

    def lines(self) -> list[str]:
        """Give every problem as ``file:line:column: message``, the form that editors follow."""
        return [f"{self.source}:{p.line}:{p.column}: {p.message}" for p in self.problems]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A profile with where each part of it is said.

    ``document`` is what its own file says and ``profile`` what that adds up to with the files it
    extends; ``policies`` has the texts of the Cedar files by the names that errors call them.
    """

    profile: Profile
    document: ProfileDocument
    tree: Tree
    source: str
    policies: Mapping[str, str]


def parse_profile(text: str | bytes, *, source: str, base: PurePath) -> Profile:
    """Read a profile that stands alone; ``read_profile`` reads one that extends another.

    ``source`` is what errors call it. Relative host paths are taken from ``base``, the folder of
    the profile; nothing is looked up, so they need not exist.
    """
    return parse(text, source=source, base=base).profile


def read_profile(path: Path, read: Read, *, base: Path | None = None) -> Parsed:
    """Read the profile at ``path``, those it extends and its Cedar files, all by ``read``."""
    return parse(read(path), source=str(path), base=base or path.parent, read=read)


def parse(
    text: str | bytes,
    *,
    source: str,
    base: PurePath,
    read: Read | None = None,
    below: tuple[Path, ...] = (),
) -> Parsed:
    """Read a profile; ``below`` are the files that extend this one, one after the other."""
    if not source.isprintable():
        source = quote(source)
    try:
        return _parse(_read(text), source, base, read, below)
    except _Wrong as error:
        problems = tuple(sorted(set(error.problems)))[:MAX_PROBLEMS]
        raise ProfileDocumentError(source, problems) from None


def _parse(
    tree: Tree, source: str, base: PurePath, read: Read | None, below: tuple[Path, ...]
) -> Parsed:
    document = _document(tree, base)
    if tree.problems or document is None:
        raise _Wrong(tree.problems)
    policies = _policies(document, tree, read)
    if document.extends is None:
        if document.widen:
            raise _Wrong([_widens_nothing(tree)])
        return Parsed(_profile(dict(document), tree), document, tree, source, policies)
    parent = _parent(document.extends, tree, read, below)
    if not document.widen and (found := _excess(parent, document, tree, policies)):
        raise _Wrong(found)
    profile = _profile(compose(parent.profile, document), tree)
    return Parsed(profile, document, tree, source, {**parent.policies, **policies})


class _Wrong(Exception):  # noqa: N818 - control flow: it becomes a ProfileDocumentError
    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)


def _read(text: str | bytes) -> Tree:
    # Before decoding: the bound is there to spare the work.
    if len(text) > MAX_BYTES or (
        isinstance(text, str) and len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES
    ):
        return Tree(problems=[Problem(1, 1, f"larger than {format_size(MAX_BYTES)}")])
    if isinstance(text, str):
        return read_tree(text)
    try:
        return read_tree(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8")
        line, column = position_of(before, len(before))
        return Tree(problems=[Problem(line, column, "not UTF-8 text")])


def _document(tree: Tree, base: PurePath) -> ProfileDocument | None:
    """The document, or None where the tree's problems say why there is none."""
    if tree.data is None:
        if not tree.problems:
            # An empty file is more likely an accident than a wish for all the defaults.
            hint = "Write at least 'version: 1'"
            tree.problems.append(Problem(1, 1, "the profile is empty", hint, "missing-key"))
        return None
    try:
        return ProfileDocument.model_validate(tree.data, context={"base": base})
    except ValidationError as error:
        tree.problems.extend(problems_of(error, tree))
        return None


def _profile(fields: Mapping[str, object], tree: Tree) -> Profile:
    known = {name: fields[name] for name in Profile.model_fields}
    try:
        return Profile.model_validate(known)
    except ValidationError as error:
        raise _Wrong(problems_of(error, tree)) from None


def _parent(path: Path, tree: Tree, read: Read | None, below: tuple[Path, ...]) -> Parsed:
    position = tree.position(("extends",))
    name = str(path)
    if read is None:
        raise _Wrong(
            [Problem(*position, f"extends: {quote(name)} cannot be read here", "", "extends")]
        )
    if path in below or len(below) >= MAX_CHAIN - 1:
        message = (
            f"extends: {quote(name)} extends this profile"
            if path in below
            else f"extends: more than {MAX_CHAIN} profiles extend one another"
        )
        raise _Wrong(
            [Problem(*position, message, "Let the chain end in one that stands alone.", "extends")]
        )
    text = _read_file(path, "extends", position, read)
    return parse(text, source=name, base=path.parent, read=read, below=(*below, path))


def _policies(document: ProfileDocument, tree: Tree, read: Read | None) -> dict[str, str]:
    texts = {}
    for index, path in enumerate(document.policies):
        position = tree.position(("policies", index))
        if read is None:
            message = f"policies[{index}]: {quote(str(path))} cannot be read here"
            raise _Wrong([Problem(*position, message, "", "policies")])
        text = _read_file(path, f"policies[{index}]", position, read)
        try:
            texts[str(path)] = text.decode("utf-8")
        except UnicodeDecodeError:
            message = f"policies[{index}]: {quote(str(path))} is not UTF-8 text"
            raise _Wrong([Problem(*position, message, "", "policies")]) from None
    return texts


def _read_file(path: Path, key: str, position: Position, read: Read) -> bytes:
    try:
        text = read(path)
    except ProfileError as error:
        raise _Wrong([Problem(*position, f"{key}: {error}", error.hint, "file")]) from None
    if len(text) > MAX_BYTES:
        message = f"{key}: {quote(str(path))} is larger than {format_size(MAX_BYTES)}"
        raise _Wrong([Problem(*position, message, "", "file")])
    return text


def _excess(
    wide: Parsed, document: ProfileDocument, tree: Tree, policies: Mapping[str, str]
) -> list[Problem]:
    from stockade.policy.cedarfiles import names_agents, permits  # noqa: PLC0415 - Cedar takes time to load

    hint = "Allow no more than that, or say 'widen: true'."
    found = [
        Problem(
            *tree.position(as_written(path, tree)),
            f"{place(as_written(path, tree))}: {message}",
            hint,
            "widened",
        )
        for path, message in excesses(wide.profile, document)
    ]
    for index, path in enumerate(document.policies):
        if path not in wide.profile.policies and permits(policies[str(path)]):
            message = f"policies[{index}]: {quote(str(path))} permits something"
            found.append(Problem(*tree.position(("policies", index)), message, hint, "widened"))
    renamed = "name" in document.model_fields_set and document.name != wide.profile.name
    if renamed and any(map(names_agents, wide.policies.values())):
        name = quote(wide.profile.name)
        message = f"name: a Cedar file of the profile it extends may hold for {name} alone"
        found.append(Problem(*tree.position(("name",)), message, f"Call it {name} too.", "widened"))
    return found


def _widens_nothing(tree: Tree) -> Problem:
    position = tree.keys.get(("widen",), (1, 1))
    return Problem(
        *position, "widen: there is nothing to widen", "Remove it, or add 'extends'.", "extends"
    )
