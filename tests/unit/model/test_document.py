from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from stockade.model.document import ProfileDocument
from stockade.model.profile import Profile


def test_paths_of_what_is_extended_are_relative_to_the_profile() -> None:
    document = ProfileDocument.model_validate(
        {"extends": "base.yaml", "policies": ["x.cedar"]}, context={"base": Path("/p")}
    )
    assert document.extends == Path("/p/base.yaml")
    assert document.policies == (Path("/p/x.cedar"),)
    assert document.widen is False


@pytest.mark.parametrize("fields", [{"extends": ""}, {"extends": "~/x"}, {"widen": "yes"}])
def test_what_cannot_be_meant_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ProfileDocument.model_validate(fields)


def test_a_profile_itself_extends_nothing() -> None:
    with pytest.raises(ValidationError):
        Profile.model_validate({"extends": "base.yaml"})
