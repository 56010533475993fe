"""What a machine and the commands in it may use.

Every limit has a default, so a profile that names none is still bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import core_schema

from stockade.model.errors import UsageError
from stockade.model.quantities import (
    DURATION_PATTERN,
    MAX_DURATION,
    MIB,
    SIZE_PATTERN,
    TIB,
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_size,
)
from stockade.model.wording import did_you_mean, explain, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue


@dataclass(frozen=True)
class _Quantity:
    """Reads a field from a number or from text, and keeps it between two bounds.

    Pydantic's own bounds would answer in bytes and seconds; these answer in the user's units.
    """

    parse: Callable[[str], float]
    show: Callable[[int], str] | Callable[[float], str]
    minimum: float
    maximum: float
    pattern: str
    whole: bool = True

    def read(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(f"must be a number or text, not {quote(value)}")  # noqa: TRY004 - pydantic reports ValueError only
        number = self.parse(value) if isinstance(value, str) else value
        if self.whole and not isinstance(number, int):
            raise ValueError(f"must be a whole number, not {quote(value)}")
        # Asked this way round, the question also turns away NaN.
        if not self.minimum <= number <= self.maximum:
            low, high = self._show(self.minimum), self._show(self.maximum)
            raise ValueError(f"must be from {low} to {high}, not {quote(value)}")
        return number if self.whole else float(number)

    def _show(self, bound: float) -> str:
        return self.show(int(bound)) if self.whole else self.show(bound)  # type: ignore[arg-type]

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return {
            "anyOf": [
                {"type": "integer" if self.whole else "number", **bounds},
                {"type": "string", "pattern": self.pattern},
            ]
        }


def _count(minimum: int, maximum: int) -> _Quantity:
    return _Quantity(parse_count, str, minimum, maximum, r"^[0-9]+$")


def _size(minimum: int, maximum: int) -> _Quantity:
    return _Quantity(parse_size, format_size, minimum, maximum, SIZE_PATTERN)


_DURATION = _Quantity(
    parse_duration, format_duration, 0.001, MAX_DURATION, DURATION_PATTERN, whole=False
)

Duration = Annotated[float, _DURATION]
"""Seconds, written as a number or as text such as ``10m``."""

Size = Annotated[int, _size(1, TIB)]
"""Bytes, written as a number or as text such as ``64KiB``."""


class Limits(BaseModel):
    """The most that one machine, and each command in it, may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: Annotated[int, _count(1, 64)] = Field(default=1, description="Processors of the machine.")
    memory: Annotated[int, _size(64 * MIB, TIB)] = Field(
        default=512 * MIB,
        description="Memory that all commands in the machine may hold together, scratch apart.",
    )
    processes: Annotated[int, _count(1, 32_768)] = Field(
        default=256, description="Processes and threads alive at once."
    )
    wall_time: Duration = Field(
        default=600.0, description="Time from the start of a command to its forced end."
    )
    cpu_time: Duration | None = Field(
        default=None,
        description="Processor time of one command with all its children; absent means no limit.",
    )
    output: Size = Field(
        default=256 * MIB,
        description="Bytes that one command may write to standard output and error together.",
    )
    scratch: Annotated[int, _size(MIB, TIB)] = Field(
        default=512 * MIB, description="Disk space that the machine may write, all in all."
    )

    def override(self, /, **changes: str | float) -> Self:
        """Give a copy with some limits changed, as in ``override(memory="1GiB")``."""
        for name in changes:
            if name not in type(self).model_fields:
                raise UsageError(
                    f"unknown limit {quote(name)}{did_you_mean(name, type(self).model_fields)}",
                    hint=f"Choose one of {', '.join(type(self).model_fields)}",
                )
        try:
            return self.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"limit {first['loc'][0]}: {explain(first)}") from None

    def override_each(self, assignments: Iterable[str]) -> Self:
        """Give a copy changed by words such as ``memory=1GiB``, each limit at most once."""
        changes: dict[str, str] = {}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise UsageError(
                    f"{quote(assignment)} is not a limit",
                    hint="Write NAME=VALUE, such as memory=1GiB",
                )
            if name in changes:
                raise UsageError(f"limit {quote(name)} is given twice")
            changes[name] = text
        return self.override(**changes)
