"""What the program and its receiver process say to each other, as values with fixed fields.

The receiver talks to strangers: whatever comes out of it is checked again here. No name, number or UID of a
patient or study is ever said.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.frames import Field, Frame
from aicorona_desktop.core.receiving import Caller, ReceiverSettings

LONGEST_TEXT = 300
UNSHOWABLE = re.compile(r"[^ -~]")


class ReceiveError(AicoronaError):
    """The receiver process said something that no receiver of ours says."""


class Kind(IntEnum):
    """Kinds of frames."""

    START = 1
    LISTENING = 65
    NOT_LISTENING = 66
    DELIVERY = 67
    TURNED_AWAY = 68
    TROUBLE = 69


class WhyNot(IntEnum):
    """Why the receiver can't listen."""

    PORT_IN_USE = 1
    PORT_NOT_ALLOWED = 2
    NO_SUCH_ADDRESS = 3
    NO_LIBRARY = 4
    NO_INBOX = 5
    OTHER = 6


class WhyAway(IntEnum):
    """Why a sender was turned away."""

    UNKNOWN_SENDER = 1  # its AE title, or its address
    UNKNOWN_TITLE = 2  # it calls us by another AE title
    TOO_MANY = 3


class WhatFails(IntEnum):
    """Why an object could not be kept."""

    FULL = 1
    NOT_WRITTEN = 2
    NOT_UNDERSTOOD = 3  # too large, cut short, or without a usable UID
    FINE_AGAIN = 4


@dataclass(frozen=True, slots=True)
class Listening:
    """The receiver takes calls at this port."""

    kind: ClassVar[Kind] = Kind.LISTENING
    port: int


@dataclass(frozen=True, slots=True)
class NotListening:
    """The receiver ends: it can't listen."""

    kind: ClassVar[Kind] = Kind.NOT_LISTENING
    why: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far one association is; `ended` on its last message. Objects count once they are safe on the disk."""

    kind: ClassVar[Kind] = Kind.DELIVERY
    number: int
    ae_title: str
    address: str
    stored: int
    failed: int
    size_bytes: int
    seconds: float
    ended: bool


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Somebody called who may not; `count` calls of the same kind since this was said last."""

    kind: ClassVar[Kind] = Kind.TURNED_AWAY
    ae_title: str
    address: str
    why: int
    count: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Objects are being refused, or no longer."""

    kind: ClassVar[Kind] = Kind.TROUBLE
    what: int


News = Listening | NotListening | Delivery | TurnedAway | Trouble
_NEWS: dict[int, type[News]] = {one.kind: one for one in (Listening, NotListening, Delivery, TurnedAway, Trouble)}


@dataclass(frozen=True, slots=True)
class Start:
    """What the receiver needs to know: how to listen, and the folder where it may write."""

    settings: ReceiverSettings
    inbox: Path

    def frame(self) -> Frame:
        """Return it as the first frame of the pipe."""
        one = self.settings
        callers: tuple[Field, ...] = tuple((each.ae_title, each.addresses) for each in one.callers)
        return Frame(Kind.START, 0, (str(self.inbox), one.ae_title, one.port, one.bind, callers))

    @classmethod
    def of(cls, frame: Frame) -> Start:
        """Read the first frame; raises ReceiveError or what the values raise."""
        if frame.kind != Kind.START or len(frame.fields) != 5:
            raise ReceiveError("The receiver was not told how to start.")
        inbox, ae_title, port, bind, callers = frame.fields
        known = tuple(Caller(str(title), tuple(map(str, addresses))) for title, addresses in _pairs(callers))
        return cls(ReceiverSettings(True, str(ae_title), _whole(port), str(bind), known), Path(str(inbox)))


def frame_of(news: News) -> Frame:
    """Return what the receiver says as a frame."""
    return Frame(news.kind, 0, tuple(getattr(news, one.name) for one in dataclasses.fields(news)))


def news_of(frame: Frame) -> News:
    """Return what the receiver said, each field of its type and texts short and printable; raises ReceiveError."""
    kind = _NEWS.get(frame.kind)
    if kind is None:
        raise ReceiveError("The receiver said something unknown.")
    wanted = [hint for name, hint in get_type_hints(kind).items() if name != "kind"]
    if [type(one) for one in frame.fields] != wanted:
        raise ReceiveError("The receiver said something malformed.")
    return kind(*(shown(one) if isinstance(one, str) else one for one in frame.fields))  # type: ignore[arg-type]


def shown(text: str) -> str:
    """Return what a stranger calls itself, harmless and short."""
    return UNSHOWABLE.sub("?", text)[:LONGEST_TEXT]


def _pairs(field: Field) -> tuple[Any, ...]:
    if not isinstance(field, tuple):
        raise ReceiveError("The receiver was not told who may send.")
    return field


def _whole(field: Field) -> int:
    if not isinstance(field, int):
        raise ReceiveError("The receiver was not told its port.")
    return field
