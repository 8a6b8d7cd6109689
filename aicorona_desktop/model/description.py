"""Typed access to a pack's description, which is untrusted JSON until each field has been asked for."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.model.onnx_check import PackError, printable

DESCRIPTION_FILE: Final = "model.json"


def parsed(content: bytes) -> Fields:
    """Return what model.json holds.

    Raises:
        PackError: it is no JSON object, has a key twice, or a number that JSON doesn't have.
    """
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PackError(f"The model pack's {DESCRIPTION_FILE} is damaged.") from error
    if not isinstance(value, dict):
        raise PackError(f"The model pack's {DESCRIPTION_FILE} is damaged.")
    return Fields(value)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")
    return fields


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of model.json; asking for a field checks its type and range, and raises PackError."""

    fields: dict[str, object]

    def get(self, key: str, kind: Any) -> object:
        value = self.fields.get(key)
        if key not in self.fields or not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise PackError(f"The model pack's description lacks {printable(key)}, or it is of the wrong kind.")
        return value

    def text(self, key: str) -> str:
        return cast("str", self.get(key, str))

    def flag(self, key: str) -> bool:
        return cast("bool", self.get(key, bool))

    def matching(self, key: str, pattern: re.Pattern[str]) -> str:
        text = self.text(key)
        if len(text) > 64 or pattern.fullmatch(text) is None:
            raise PackError(f"The model pack's {key} ({printable(text)}) is not a valid one.")
        return text

    def integer(self, key: str, lowest: int, highest: int) -> int:
        value = cast("int", self.get(key, int))
        if not lowest <= value <= highest:
            raise PackError(f"The model pack's {key} is {value}, outside {lowest} to {highest}.")
        return value

    def number(self, key: str) -> float:
        return _finite(self.get(key, int | float), key)

    def positive(self, key: str) -> float:
        value = self.number(key)
        if value <= 0:
            raise PackError(f"The model pack's {key} is not positive.")
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        return tuple(_finite(value, key) for value in cast("list[object]", self.get(key, list)))

    def triple(self, key: str) -> Triple:
        values = self.numbers(key)
        if len(values) != len(CLASSES):
            raise PackError(f"The model pack's {key} is not {len(CLASSES)} numbers.")
        return cast("Triple", values)

    def texts(self, key: str) -> tuple[str, ...]:
        values = cast("list[object]", self.get(key, list))
        if not all(isinstance(value, str) for value in values):
            raise PackError(f"The model pack's {key} is not a list of texts.")
        return tuple(cast("list[str]", values))

    def part(self, key: str) -> Fields:
        return Fields(cast("dict[str, object]", self.get(key, dict)))

    def parts(self, key: str) -> tuple[Fields, ...]:
        values = cast("list[object]", self.get(key, list))
        if not all(isinstance(value, dict) for value in values):
            raise PackError(f"The model pack's {key} is not a list of objects.")
        return tuple(Fields(cast("dict[str, object]", value)) for value in values)


def _finite(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PackError(f"The model pack's {key} is not a number.")
    try:
        number = float(value)
    except OverflowError as error:
        raise PackError(f"The model pack's {key} is not finite.") from error
    if not math.isfinite(number):
        raise PackError(f"The model pack's {key} is not finite.")
    return number
