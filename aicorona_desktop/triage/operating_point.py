"""Which operating point holds: the one that the site has set and verified, else the model pack's, else none.

Whoever flags, ranks or compares by it asks here and nowhere else.

Source: design D14; ux.md 8.2 and 8.3.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from aicorona_desktop.history.store import History, SiteVerification
from aicorona_desktop.model.pack import Pack

VERIFIED_FOR = timedelta(days=365)
"""A site's own verification lapses after twelve months (ux.md 8.3)."""

WARNED_BEFORE = timedelta(days=30)
NOT_STARTED = ("", "auto")
"""What the device is called while the model is being loaded: nothing can lapse by it yet."""


class Lapse(StrEnum):
    """Why a verification of the site doesn't hold any more."""

    PACK = "pack"
    DEVICE = "device"
    PREPARATION = "preparation"
    AGE = "age"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class PointInUse:
    """The operating point, p(COVID-19) from 0 to 1, or None; and how the site's verification stands.

    `verification` is the site's, where it holds: then the point is its. `origin` says where a pack's point is from.
    `lapsed` is the newest verification where none holds, `lapse` why it doesn't.
    """

    threshold: float | None
    origin: str = ""
    verification: SiteVerification | None = None
    lapsed: SiteVerification | None = None
    lapse: Lapse | None = None

    @property
    def ends(self) -> datetime | None:
        """When the verification lapses by its age."""
        return None if self.verification is None else self.verification.at + VERIFIED_FOR

    def days_left(self, now: datetime) -> int | None:
        """Return how many days are left, within the month before the end; None before that, and without one."""
        if self.ends is None or self.ends - now > WARNED_BEFORE:
            return None
        return max(0, (self.ends - now).days)


def decide(pack: Pack, own: SiteVerification | None, device: str, now: datetime) -> PointInUse:
    """Return the point that holds for a pack on a device, where `own` is the site's newest verification of any pack."""
    lapse = None if own is None else lapse_of(own, (pack.sha256, pack.preparation, device), now)
    if own is not None and lapse is None:
        return PointInUse(own.operating_point, verification=own)
    point = pack.operating_point
    if point is None:
        return PointInUse(None, lapsed=own, lapse=lapse)
    return PointInUse(point.threshold, point.origin, lapsed=own, lapse=lapse)


def lapse_of(own: SiteVerification, used: tuple[str, str, str], now: datetime) -> Lapse | None:
    """Return why a verification doesn't hold for (SHA-256 of the pack, preparation, device) now; None where it does."""
    pack_sha256, preparation, device = used
    reasons = (
        (own.withdrawn, Lapse.WITHDRAWN),
        (own.pack_sha256 != pack_sha256, Lapse.PACK),
        (own.preparation != preparation, Lapse.PREPARATION),
        (device not in NOT_STARTED and own.device != device, Lapse.DEVICE),
        (now - own.at > VERIFIED_FOR, Lapse.AGE),
    )
    return next((lapse for holds, lapse in reasons if holds), None)


class OperatingPoints:
    """Asks the history once and after every change, so that asking costs nothing; from any thread."""

    def __init__(self, history: History, pack: Pack, device: Callable[[], str], now: Callable[[], datetime]) -> None:
        """`device` says what runs the model, `now` is aware."""
        self._history = history
        self._pack = pack
        self._device = device
        self._now = now
        self._lock = threading.Lock()
        self._known = False
        self._own: SiteVerification | None = None

    def refresh(self) -> None:
        """Ask the history anew, after a verification was recorded.

        Raises:
            HistoryError: the history can't be read.
        """
        # One of this very pack goes first: a site may go back to a pack that it has verified before.
        own = self._history.site_verification(self._pack.sha256) or self._history.last_site_verification()
        with self._lock:
            self._own, self._known = own, True

    def in_use(self) -> PointInUse:
        """Return the point that holds now; raises as `refresh`, the first time."""
        with self._lock:
            known, own = self._known, self._own
        if not known:
            self.refresh()
            return self.in_use()
        return decide(self._pack, own, self._device(), self._now())

    @property
    def threshold(self) -> float | None:
        """The p(COVID-19) from which a study is flagged, None where there is no point."""
        return self.in_use().threshold
