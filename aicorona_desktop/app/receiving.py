"""The DICOM receiver of a program that stays: switched on and off, its state in words, its account in the audit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.kept import KeptError, load_values, save_values
from aicorona_desktop.core.receiving import ReceiverSettings, ReceiverStanding, ReceiverState
from aicorona_desktop.history.store import History, HistoryError, utc_now
from aicorona_desktop.receive.client import Receiver, is_installed
from aicorona_desktop.receive.protocol import (
    Delivery,
    Listening,
    News,
    NotListening,
    Trouble,
    TurnedAway,
    WhatFails,
    WhyAway,
    WhyNot,
)

log = logging.getLogger(__name__)

NOT_INSTALLED = (
    "This installation has no DICOM receiver: its library pynetdicom is missing. Install the extra “receive”."
)
NO_ROOM = "The receiver takes no objects: the disk, or the inbox, is full. Senders are told so; free space on the disk."
NOT_WRITTEN = "The receiver can't write into its inbox; senders are told so. Is the folder of the history closed?"
NOT_LISTENING = {
    WhyNot.PORT_IN_USE: "Port {port} is in use by another program. Choose another port, or close that program.",
    WhyNot.PORT_NOT_ALLOWED: "The system doesn't allow port {port}. Choose one from 1024 on, such as 11112.",
    WhyNot.NO_SUCH_ADDRESS: "This computer has no address {bind}. Choose one that it has, or 0.0.0.0 for all.",
    WhyNot.NO_LIBRARY: NOT_INSTALLED,
    WhyNot.NO_INBOX: "The receiver can't write into its inbox. Is the folder of the history closed?",
    WhyNot.OTHER: "The receiver stopped; it is started again. What it has acknowledged is safe.",
}
AWAY = {
    WhyAway.UNKNOWN_SENDER: "no sender of this name and address is allowed",
    WhyAway.UNKNOWN_TITLE: "it called another AE title",
    WhyAway.TOO_MANY: "too many associations at once",
}


def inbox_beside(history: Path) -> Path:
    """Return the folder that received objects wait in until they are read; it belongs to a history's file."""
    return history.with_name(f"{history.name}.inbox")


class Receiving:
    """Keeps the receiver as the settings say, from any thread; `told` hears each change of `state`, on any thread.

    The process is started again when it ends. Nobody has to empty the inbox but the engine, which watches it.
    """

    def __init__(
        self,
        history: History,
        told: Callable[[ReceiverState], None],
        now: Callable[[], datetime] = utc_now,
        inbox: Path | None = None,
    ) -> None:
        self.inbox = inbox or inbox_beside(history.path)
        self._history = history
        self._told = told
        self._now = now
        self._lock = threading.RLock()
        self._settings = ReceiverSettings()
        self._receiver: Receiver | None = None
        self._counted: dict[int, int] = {}  # objects of each open association that are in the count of the day
        self._day, self._today = "", 0
        self._state = ReceiverState()

    @property
    def state(self) -> ReceiverState:
        """How the receiver stands."""
        with self._lock:
            return replace(self._state, objects_today=self._today if self._day == self._this_day() else 0)

    def change(self, settings: ReceiverSettings) -> None:
        """Listen as the settings say, or not at all; settings that are the same cost nothing."""
        with self._lock:
            if settings == self._settings:
                return
            before, self._settings = self._receiver, settings
            self._receiver, self._counted = None, {}
        if before is not None:
            before.close()
        if not settings.on:
            self._audit("receiver switched off")
            self._show(ReceiverState())
            return
        if not is_installed():
            self._show(ReceiverState(ReceiverStanding.FAILED, settings.port, sentence=NOT_INSTALLED))
            return
        senders = ", ".join(one.ae_title for one in settings.callers) or "nobody"
        self._audit("receiver switched on", f"{settings.ae_title} at {settings.bind}:{settings.port} for {senders}")
        self._day, self._today = self._kept_count()
        self._show(ReceiverState(ReceiverStanding.STARTING, settings.port))
        with self._lock:
            self._receiver = Receiver(settings, self.inbox, self._hear)

    def close(self) -> None:
        """End the receiver's process; what it has acknowledged is in the inbox."""
        with self._lock:
            receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()

    def _hear(self, news: News) -> None:
        match news:
            case Listening(port):
                self._show(replace(self.state, standing=ReceiverStanding.LISTENING, port=port, sentence=""))
            case NotListening(why):
                self._counted = {}
                sentence = NOT_LISTENING[WhyNot(why)].format(port=self._settings.port, bind=self._settings.bind)
                self._show(replace(self.state, standing=ReceiverStanding.FAILED, sentence=sentence))
            case Delivery():
                self._count(news)
            case TurnedAway(title, address, why, count):
                reason = AWAY.get(WhyAway(why) if why in set(WhyAway) else WhyAway.UNKNOWN_SENDER, "")
                self._audit("sender turned away", f"{title} at {address}: {reason}; {count} call(s)")
            case Trouble(what):
                sentences = {WhatFails.FULL: NO_ROOM, WhatFails.NOT_WRITTEN: NOT_WRITTEN}
                self._show(replace(self.state, sentence=sentences.get(WhatFails(what), "")))

    def _count(self, delivery: Delivery) -> None:
        more = delivery.stored - self._counted.get(delivery.number, 0)
        with self._lock:
            day = self._this_day()
            self._day, self._today = day, (self._today if self._day == day else 0) + max(0, more)
            self._counted[delivery.number] = delivery.stored
        if delivery.ended:
            self._counted.pop(delivery.number, None)
            self._keep_count()
            if delivery.stored or delivery.failed:
                self._audit("received", _account(delivery))
        if more > 0:
            self._show(replace(self.state, last_at=self._now()))

    def _show(self, state: ReceiverState) -> None:
        with self._lock:
            self._state = state
        self._told(self.state)

    def _audit(self, event: str, details: str = "") -> None:
        try:
            self._history.audit(event, details=details)
        except HistoryError as error:  # the object is safe all the same
            log.warning("an event of the receiver is not in the audit", exc_info=error)

    def _this_day(self) -> str:
        return f"{self._now().astimezone():%Y-%m-%d}"

    @property
    def _count_file(self) -> Path:
        return self.inbox.with_name(f"{self.inbox.name}.json")

    def _kept_count(self) -> tuple[str, int]:
        try:
            kept = load_values(self._count_file)
        except KeptError:
            kept = {}
        count = kept.get("objects", 0)
        return str(kept.get("day", "")), count if isinstance(count, int) else 0

    def _keep_count(self) -> None:
        try:
            save_values({"day": self._day, "objects": self._today}, self._count_file)
        except KeptError as error:
            log.warning("the count of the day was not kept", exc_info=error)


def _account(delivery: Delivery) -> str:
    refused = f", {delivery.failed} refused" if delivery.failed else ""
    size_mb, seconds = delivery.size_bytes / 1e6, delivery.seconds
    who = f"{delivery.ae_title} at {delivery.address}"
    return f"{who}: {delivery.stored} object(s){refused}, {size_mb:.1f} MB in {seconds:.1f} s"
