"""How the verification of the site stands: the banner, the pack, the device, the counts of the history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QWidget

from aicorona_desktop.app.self_check import Check, SelfCheck, self_check
from aicorona_desktop.core.lanes import Policy
from aicorona_desktop.core.rows import State
from aicorona_desktop.history.store import Filter, History
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.triage.operating_point import PointInUse
from aicorona_desktop.triage.ranking import policy_of
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.fold import Line, Lines
from aicorona_desktop.ui.model_card import ModelCard
from aicorona_desktop.ui.study_words import decimal, device_name
from aicorona_desktop.ui.verification_parts import Page, button
from aicorona_desktop.ui.verification_words import status_lines

translate = QCoreApplication.translate

LANE = "device check"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many studies of the history are what; `flagged` is None where there is no operating point."""

    studies: int
    scored: int
    flagged: int | None
    doubtful: int
    one_slice: int
    unsuitable: int
    read: int
    judged: int
    differ: int
    with_outcome: int


def count_studies(history: History, now: datetime, policy: Policy) -> Counts:
    """Count the studies on the list, one question at a time: others who read the history come in between.

    Raises:
        HistoryError: the history can't be read.
    """

    def count(**wanted: object) -> int:
        return history.lane_counts(now, policy, Filter(**wanted)).wanted  # type: ignore[arg-type]

    done, point = frozenset({State.DONE}), policy.operating_point
    studies = count()
    return Counts(
        studies=studies,
        scored=count(states=done),
        flagged=None if point is None else count(states=done, flagged_from=point),
        doubtful=count(states=done, doubtful=True),
        one_slice=count(states=done, one_slice=True),
        unsuitable=count(unsuitable=True),
        read=studies - count(unread=True),
        judged=count(judged=True),
        differ=count(differ=True),
        with_outcome=count(has_outcome=True),
    )


class OverviewPage(Page):
    """The banner, the pack, the device and the counts."""

    def __init__(
        self,
        context: Context,
        parent: QWidget | None = None,
        check: Callable[[Pack, str, Callable[[Check], None]], SelfCheck] = self_check,
    ) -> None:
        """`check` tries the device, by default for real."""
        super().__init__("verification_overview", parent)
        self.context = context
        self._check = check
        self.status, self.pack = Lines("verification_status"), Lines("verification_pack")
        self.device, self.proof = Lines("verification_device"), Lines("verification_proof")
        self.counts = Lines("verification_counts")
        self.card = button("verification_card", translate("Verification", "Model card"), self._show_card, self)
        self.test = button("test_device", translate("Verification", "Test the device now"), self.test_device, self)
        groups: tuple[tuple[str, str, tuple[QWidget, ...]], ...] = (
            ("status", translate("Verification", "Verification"), (self.status,)),
            ("pack", translate("Verification", "Model pack"), (self.pack, self.card)),
            ("device", translate("Verification", "Device"), (self.device, self.test, self.proof)),
            ("counts", translate("Verification", "Studies of the history"), (self.counts,)),
        )
        for key, title, widgets in groups:
            self.add_group(key, title, widgets, context.user)
        self.close_column()
        context.bridge.studies_changed.connect(self._studies_changed)
        context.site.changed.connect(self._site_changed)

    def enter(self) -> None:
        """Say everything anew."""
        running = self.context.running
        point = running.points.in_use()
        self.status.show_lines(status_lines(point, self.context.now()))
        self.pack.show_lines(pack_lines(running.pack, point))
        engine = running.engine
        self.device.show_lines(device_lines("" if engine is None else engine.device))
        self._read()

    # --- reading ---------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        reading, now = self.context.reading, self.context.now()
        policy = policy_of(self.context.site.value, self.context.running.points.threshold)

        def show(counts: Counts) -> None:
            self.counts.show_lines(count_lines(counts, policy.operating_point))

        self.context.jobs.run(
            lambda: count_studies(reading, now, policy),
            show,
            self.say.emit,
            lane="counts",
            key="verification",
            owner=self,
        )

    def _studies_changed(self, _: object) -> None:
        if self.isVisible():
            self._read()

    def _site_changed(self, _: object) -> None:
        if self.isVisible():
            self.enter()

    # --- device ----------------------------------------------------------------------------------------------------

    def test_device(self) -> None:
        """Try reader, history, model and device for real, beside whatever is being scored, and say what came of it."""
        pack, provider, check = self.context.running.pack, self.context.site.value.provider, self._check
        lines: list[Line] = []
        self.test.setEnabled(False)
        self.test.setToolTip(translate("Verification", "The test is running."))
        self.proof.show_lines((Line(translate("Verification", "The device is being tested…")),))

        def each(item: object) -> None:
            if isinstance(item, Check):
                lines.append(check_line(item))
                self.proof.show_lines(lines)

        def over() -> None:
            self.test.setEnabled(True)
            self.test.setToolTip("")

        def failed(sentence: str) -> None:
            over()
            self.proof.show_lines((*lines, Line(sentence, strong=True)))

        self.context.jobs.stream(
            lambda give: _only(check(pack, provider, give)), each, over, failed, lane=LANE, key="device", owner=self
        )

    def _show_card(self) -> None:
        card = ModelCard(self.context.running.pack, self)
        card.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        card.show()


# --- words ---------------------------------------------------------------------------------------------------------


def pack_lines(pack: Pack, point: PointInUse) -> list[Line]:
    """Return which pack is in use, what it is, and where the operating point is from."""
    if point.threshold is None:
        stands = translate("Verification", "not set; the list is ordered, nothing is flagged")
    elif point.verification is not None:
        stands = translate("Verification", "{value}, set at this site").format(value=decimal(100 * point.threshold, 1))
    else:
        text = translate("Verification", "{value}, from the model pack ({origin})")
        stands = text.format(value=decimal(100 * point.threshold, 1), origin=point.origin)
    return [
        Line(pack.title, translate("Verification", "Name")),
        Line(pack.status_text, translate("Verification", "Status"), strong=True),
        Line(pack.sha256, translate("Verification", "SHA-256")),
        Line(pack.preparation, translate("Verification", "Preparation of the images")),
        Line(stands, translate("Verification", "Operating point")),
    ]


def device_lines(device: str) -> list[Line]:
    """Return which device is in use, and how it was proven."""
    label = translate("Verification", "In use")
    if not device:
        return [Line(translate("Verification", "none; this copy of the program is for reading only"), label)]
    if device == "auto":
        return [Line(translate("Verification", "the model is being loaded"), label)]
    return [
        Line(device_name(device), label),
        Line(
            translate(
                "Verification",
                "Before it is used, and after every study, a device scores a known slice. "
                "One that differs by more than the pack allows is left.",
            )
        ),
    ]


def check_line(check: Check) -> Line:
    """Return one thing that was tried; what doesn't work stands out."""
    works = translate("Verification", "works") if check.ok else translate("Verification", "does not work")
    label = translate("Verification", "{name} {works}").format(name=_check_name(check.name), works=works)
    return Line(check.detail, label, strong=not check.ok)


def count_lines(counts: Counts, point: float | None) -> list[Line]:
    """Return the counts, each of how many."""
    of_all, of_scored = words.studies_counted(counts.studies), words.studies_counted(counts.scored)
    if counts.flagged is None or point is None:
        flags = translate("Verification", "none are set: there is no operating point")
    else:
        text = translate("Verification", "{count} of {studies} scored, at {value} or above")
        flags = text.format(count=words.number_text(counts.flagged), studies=of_scored, value=decimal(100 * point, 1))
    scored = translate("Verification", "{count} of {studies} scored")
    every = translate("Verification", "{count} of {studies}")
    judged = translate("Verification", "{count} of {studies} with a score and an own impression that names a class")
    return [
        Line(words.number_text(counts.studies), translate("Verification", "Studies on the list")),
        Line(_of(every, counts.scored, of_all), translate("Verification", "Scored")),
        Line(_of(every, counts.unsuitable, of_all), translate("Verification", "Cannot be scored")),
        Line(flags, translate("Verification", "Flags")),
        Line(_of(scored, counts.doubtful, of_scored), translate("Verification", "Doubtful")),
        Line(_of(scored, counts.one_slice, of_scored), translate("Verification", "Rests on one slice")),
        Line(_of(every, counts.read, of_all), translate("Verification", "Read by a person")),
        Line(
            _of(judged, counts.differ, words.studies_counted(counts.judged)),
            translate("Verification", "Model and reader differ"),
        ),
        Line(_of(every, counts.with_outcome, of_all), translate("Verification", "With a later outcome")),
        Line(
            translate(
                "Verification",
                "These are counts of what came here, and no measure of how good the model is: "
                "readers may have seen the score before they answered.",
            )
        ),
    ]


def _of(text: str, count: int, of: str) -> str:
    return text.format(count=words.number_text(count), studies=of)


def _check_name(name: str) -> str:
    return {
        "model pack": translate("Verification", "Model pack"),
        "history": translate("Verification", "History"),
        "decoders": translate("Verification", "Decoders"),
        "device": translate("Verification", "Device"),
        "known answer": translate("Verification", "Known answer"),
        "speed": translate("Verification", "Speed"),
        "network": translate("Verification", "Network"),
    }.get(name, name)


def _only(_: SelfCheck) -> None:
    """The checks were told one by one."""
