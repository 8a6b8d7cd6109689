"""What a site says about the DICOM receiver, and what the receiver tells: frozen values.

The receiver is off until a site switches it on; it listens to this computer alone until the site names another
address, and takes nothing from anybody until a sender is named.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from aicorona_desktop.core.errors import AicoronaError

AE_TITLE_IN_FRONT = "AICORONA"
PORT = 11112  # registered with IANA as "acr-nema" 104 and "dicom" 11112; ports below 1024 need an administrator
THIS_COMPUTER = "127.0.0.1"
MOST_CALLERS = 100

_AE_TITLE = re.compile(r"[!-\[\]-~][ -\[\]-~]{0,15}")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ReceiverSettingsError(AicoronaError):
    """A setting of the receiver can't be used; the text says which and what it may be."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may send: an Application Entity title, and from where; from anywhere if no address is named.

    `addresses` are IP addresses or networks such as 10.1.2.0/24. An AE title can be made up by anybody, so that a
    sender with an address is the safer one.
    """

    ae_title: str
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_ae_title(self.ae_title)
        for one in self.addresses:
            _network(one)

    def is_at(self, address: str) -> bool:
        """Whether this sender may call from an IP address."""
        try:
            there = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(there, "ipv4_mapped", None)  # how a socket for both kinds writes an IPv4 address
        return not self.addresses or any((mapped or there) in _network(one) for one in self.addresses)


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """The receiver of a site. `bind` is the address of this computer that it listens on."""

    on: bool = False
    ae_title: str = AE_TITLE_IN_FRONT
    port: int = PORT
    bind: str = THIS_COMPUTER
    callers: tuple[Caller, ...] = ()

    def __post_init__(self) -> None:
        require_ae_title(self.ae_title)
        if not isinstance(self.on, bool):
            raise ReceiverSettingsError("The receiver is on or off.")
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 1 <= self.port <= 65535:
            raise ReceiverSettingsError("A port is a number from 1 to 65535; DICOM receivers mostly use 11112 or 104.")
        if len(self.callers) > MOST_CALLERS:
            raise ReceiverSettingsError(f"The receiver knows at most {MOST_CALLERS} senders.")
        _address(self.bind)

    @property
    def is_local(self) -> bool:
        """Whether programs of this computer alone can reach the receiver."""
        return _address(self.bind).is_loopback

    def allows(self, ae_title: str, address: str) -> bool:
        """Whether somebody with this AE title may send from this IP address."""
        return any(one.ae_title == ae_title.strip() and one.is_at(address) for one in self.callers)


class ReceiverStanding(StrEnum):
    """How the receiver stands."""

    OFF = "off"
    STARTING = "starting"
    LISTENING = "listening"
    FAILED = "failed"  # tried again for as long as it is switched on


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """How the receiver stands; `sentence` says what is wrong and what to do, "" where nothing is.

    `objects_today` is how many objects were taken since midnight, `last_at` when the newest came (aware UTC).
    """

    standing: ReceiverStanding = ReceiverStanding.OFF
    port: int = 0
    objects_today: int = 0
    last_at: datetime | None = None
    sentence: str = ""


def require_ae_title(text: str) -> None:
    """Raise ReceiverSettingsError unless a text is an AE title (PS3.5 6.2): 1 to 16 characters, no backslash."""
    if not isinstance(text, str) or not _AE_TITLE.fullmatch(text) or text != text.strip():
        raise ReceiverSettingsError("An AE title has 1 to 16 letters, digits and signs, and no backslash.")


def receiver_settings_of(stored: Mapping[str, Any]) -> ReceiverSettings:
    """Return the settings that were kept as plain values.

    Raises:
        ReceiverSettingsError: one can't be used.
        TypeError, ValueError: they have another form.
    """
    values = {name: stored[name] for name in ("on", "ae_title", "port", "bind") if name in stored}
    callers = tuple(Caller(one["ae_title"], _texts(one.get("addresses", ()))) for one in stored.get("callers", ()))
    return ReceiverSettings(**values, callers=callers)


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    if not all(isinstance(one, str) for one in values):
        raise TypeError("expected texts")
    return tuple(map(str, values))


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ReceiverSettingsError("An address looks like 192.168.1.20, or 192.168.1.0/24 for a network.") from error


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise ReceiverSettingsError(
            "The address to listen on must be an IP address of this computer; 0.0.0.0 stands for all of them."
        ) from error
