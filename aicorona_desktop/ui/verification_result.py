"""What a run over known studies says: the curve, the figures at a point, the groups, every error to be opened.

Source: ux.md 8.1 and 8.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from aicorona_desktop.app.verification_result import (
    FEWEST,
    Judged,
    KnownCase,
    OfferedPoint,
    SiteResult,
    counts_at,
    judge,
    offered_points,
    read_result,
    usable_thresholds,
)
from aicorona_desktop.app.verification_run import RunPlace
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.curves import RocBand
from aicorona_desktop.evaluation.operating_points import Demands
from aicorona_desktop.evaluation.subgroups import UNKNOWN, Subgroup
from aicorona_desktop.history.store import History, VerificationRun
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.fold import Line, Lines, wrap
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.site_words import number
from aicorona_desktop.ui.study_words import class_name, decimal, device_name
from aicorona_desktop.ui.verification_charts import SiteRocChart
from aicorona_desktop.ui.verification_parts import FlatTable, Page
from aicorona_desktop.ui.verification_setting import SettingForm
from aicorona_desktop.ui.verification_viewer import KnownStudyWindow
from aicorona_desktop.ui.verification_words import area, cost_text, labels_text, method_name, percent, rule_text

translate = QCoreApplication.translate

LANE = "known studies result"
PREVALENCE = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """The newest run with what it gave; `band` None where there is no curve."""

    run: VerificationRun
    result: SiteResult
    band: RocBand | None


class ResultPage(Page):
    """Reads the newest run; `was_set` comes when a person has set the operating point."""

    was_set = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("verification_result", parent)
        self.context = context
        self.found: Found | None = None
        self.judged: Judged | None = None
        self._thresholds: tuple[float, ...] = ()
        self._offered: tuple[OfferedPoint, ...] = ()
        self._window: KnownStudyWindow | None = None
        self._make_parts()
        titles = (
            ("result", translate("Verification", "The known studies"), [self.head, self._curve_and_point]),
            ("points", translate("Verification", "Operating points by rule"), [self.points]),
            ("figures", translate("Verification", "Figures at this operating point"), [self.figures, self.confusion]),
            ("setting", translate("Verification", "Set the operating point of this site"), [self.setting]),
            ("missed", translate("Verification", "Missed"), [_hint(), self.missed]),
            ("alarms", translate("Verification", "False alarms"), [_hint(), self.alarms]),
            ("groups", translate("Verification", "By scanner, kernel and slice thickness"), [self.groups]),
            ("failures", translate("Verification", "Without a score"), [_hint(), self.failures]),
        )
        self.folds = {key: self.add_group(key, title, widgets, context.user) for key, title, widgets in titles}
        self.close_column()
        for table in (self.missed, self.alarms, self.failures):
            table.chosen.connect(self.open_case)
        self._show_nothing()

    # --- making ----------------------------------------------------------------------------------------------------

    def _make_parts(self) -> None:
        said = translate
        self.head, self.figures = Lines("result_head"), Lines("result_figures")
        self.chart = SiteRocChart(self)
        self.chart.clicked.connect(self._curve_clicked)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setObjectName("result_slider")
        self.slider.setAccessibleName(said("Verification", "Operating point on the curve"))
        self.slider.valueChanged.connect(self._moved)
        self.cost, self.at = plain(QLabel(self)), plain(QLabel(self))
        self.cost.setObjectName("result_cost")
        self.at.setObjectName("result_at")
        wrap(self.cost)
        self.prevalence = QDoubleSpinBox(self)
        self.prevalence.setObjectName("result_prevalence")
        self.prevalence.setRange(0.1, 99.9)
        self.prevalence.setDecimals(1)
        self.prevalence.setSuffix(" %")
        self.prevalence.setValue(100 * PREVALENCE)
        self.prevalence.valueChanged.connect(lambda _: self._prevalence_changed())
        self._curve_and_point = self._beside(said("Verification", "COVID-19 among all studies here"))
        columns = (said("Verification", "Rule"), said("Verification", "Point"), said("Verification", "What it costs"))
        self.points = FlatTable("result_points", said("Verification", "Operating points by rule"), columns)
        self.points.chosen.connect(self._point_chosen)
        label = said("Verification", "Label")
        says = [said("Verification", "Model: {name}").format(name=class_name(name)) for name in CLASSES]
        self.confusion = FlatTable("result_confusion", said("Verification", "Labels by answers"), [label, *says])
        study, score = said("Verification", "Study"), said("Verification", "Score")
        scanner = said("Verification", "Scanner")
        self.missed = FlatTable("result_missed", said("Verification", "Missed"), (study, label, score, scanner))
        self.alarms = FlatTable("result_alarms", said("Verification", "False alarms"), (study, label, score, scanner))
        self.failures = FlatTable(
            "result_failures", said("Verification", "Without a score"), (study, label, said("Verification", "Why"))
        )
        self.groups = FlatTable("result_groups", said("Verification", "Groups"), _group_headers())
        self.setting = SettingForm(self.context, self)
        self.setting.was_set.connect(self.was_set)

    def _beside(self, prevalence: str) -> QWidget:
        holder, right = QWidget(self), QVBoxLayout()
        label = QLabel(prevalence, self)
        label.setBuddy(self.prevalence)
        self.prevalence.setAccessibleName(prevalence)
        wrap(label)
        for widget in (self.at, self.slider, self.cost, label):
            right.addWidget(widget)
        right.addWidget(self.prevalence, 0, Qt.AlignmentFlag.AlignLeading)
        right.addStretch(1)
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.chart, 1)
        row.addLayout(right, 1)
        return holder

    # --- reading ---------------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Read the newest run, as far as it is."""
        running = self.context.running
        reading = self.context.reading

        def work() -> Found | None:
            run = reading.newest_verification_run()
            if run is None or not (place := RunPlace(running.place, run.number)).ledger.is_file():
                return None
            with History.open(place.ledger, read_only=True) as ledger:
                result = read_result(ledger, run.labels)
            return Found(run, result, result.band() if result.has_both else None)

        self.context.jobs.run(work, self._show, self.say.emit, lane=LANE, key="read", owner=self)

    def end(self) -> None:
        """Close the window of a known study."""
        if self._window is not None:
            self._window.close()

    def _show_nothing(self) -> None:
        none = translate("Verification", "No known studies have been scored yet. Choose them under Known studies.")
        self.head.show_lines((Line(none),))
        self._show_parts(curve=False)

    def _show_parts(self, *, curve: bool) -> None:
        self._curve_and_point.setVisible(curve)
        for key in ("points", "figures", "setting", "missed", "alarms", "groups"):
            self.folds[key].setVisible(curve)
        self.folds["failures"].setVisible(self.found is not None and bool(self.found.result.failures))

    def _show(self, found: Found | None) -> None:
        self.found, self.judged = found, None
        if found is None:
            self._show_nothing()
            return
        result = found.result
        self.head.show_lines(head_lines(found))
        self.failures.show_rows(
            [(_name(case), class_name(case.label), case.sentence) for case in result.failures],
            [case.study_instance_uid for case in result.failures],
        )
        self._show_parts(curve=result.has_both)
        if not result.has_both:
            return
        self._thresholds = usable_thresholds(result)
        self.chart.show_curve(result.curve, found.band)
        self._offer()
        before = self.slider.value()
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._thresholds) - 1)
        self.slider.setValue(before or self._first_place())
        self.slider.blockSignals(False)
        self._moved(self.slider.value())

    def _first_place(self) -> int:
        """The point that holds now, else the first that a rule gives, else the middle."""
        holds = self.context.running.points.threshold
        offered = [one.point.threshold for one in self._offered if one.point is not None]
        for threshold in (*([holds] if holds is not None else []), *offered):
            if threshold in self._thresholds:
                return self._thresholds.index(threshold)
        return len(self._thresholds) // 2

    # --- the point ---------------------------------------------------------------------------------------------------

    @property
    def threshold(self) -> float | None:
        """The point that the slider stands at."""
        place = self.slider.value()
        return self._thresholds[place] if 0 <= place < len(self._thresholds) else None

    def _moved(self, _: int) -> None:
        if self.found is None or (threshold := self.threshold) is None:
            return
        counts = counts_at(self.found.result, threshold)
        text = translate("Verification", "Operating point {value}")
        self.at.setText(text.format(value=decimal(100 * threshold, 1)))
        self.cost.setText(cost_text(counts))
        self.slider.setAccessibleDescription(f"{self.at.text()}. {self.cost.text()}")
        self.chart.show_point(counts)
        self._judge()

    def _judge(self) -> None:
        found, threshold = self.found, self.threshold
        if found is None or threshold is None or not found.result.has_both:
            return
        self.judged = None
        self.setting.show_judged(None, found.run, found.result, "")
        prevalence = self.prevalence.value() / 100
        self.context.jobs.run(
            lambda: judge(found.result, threshold, prevalence),
            self._show_judged,
            self.say.emit,
            lane=LANE,
            key="judge",
            owner=self,
        )

    def _show_judged(self, judged: Judged) -> None:
        if self.found is None:
            return
        self.judged = judged
        result = self.found.result
        self.figures.show_lines(figure_lines(judged, self.prevalence.value() / 100))
        rows = [
            [
                translate("Verification", "{name} (n {count})").format(
                    name=class_name(name), count=number(int(judged.table[place].sum()))
                ),
                *(number(int(count)) for count in judged.table[place]),
            ]
            for place, name in enumerate(CLASSES)
        ]
        self.confusion.show_rows(rows)
        self.groups.show_rows([_group_cells(group) for group in judged.groups])
        for key, table, cases, title in (
            ("missed", self.missed, judged.missed, translate("Verification", "Missed: {count} of {all}")),
            ("alarms", self.alarms, judged.false_alarms, translate("Verification", "False alarms: {count} of {all}")),
        ):
            of = judged.counts.positives if key == "missed" else judged.counts.negatives
            self.folds[key].set_title(title.format(count=number(len(cases)), all=number(of)))
            table.show_rows([_case_cells(case) for case in cases], [case.study_instance_uid for case in cases])
        rule = next(
            (one.rule.value for one in self._offered if one.point and one.point.threshold == judged.threshold), ""
        )
        self.setting.show_judged(judged, self.found.run, result, rule, self.prevalence.value() / 100)

    def _prevalence_changed(self) -> None:
        self._offer()
        self._judge()

    def _offer(self) -> None:
        if self.found is None or not self.found.result.has_both:
            return
        demands = Demands(prevalence=self.prevalence.value() / 100)
        self._offered = offered_points(self.found.result, demands)
        rows, keys = [], []
        for one in self._offered:
            shown = "–" if one.point is None else decimal(100 * one.point.threshold, 1)
            rows.append((rule_text(one.rule), shown, one.why_not if one.point is None else cost_text(one.point.counts)))
            keys.append("" if one.point is None else one.rule.value)
        self.points.show_rows(rows, keys)

    def _point_chosen(self, rule: str) -> None:
        for one in self._offered:
            if one.rule.value == rule and one.point is not None:
                self.choose(one.point.threshold)

    def choose(self, threshold: float) -> None:
        """Move the slider to a point."""
        if threshold in self._thresholds:
            self.slider.setValue(self._thresholds.index(threshold))

    def _curve_clicked(self, x: float, y: float) -> None:
        if self.found is None:
            return
        curve = self.found.result.curve
        right, up = curve.false_positives / curve.negatives, curve.true_positives / curve.positives
        distances = {
            float(one): (a - x) ** 2 + (b - y) ** 2 for one, a, b in zip(curve.thresholds, right, up, strict=True)
        }
        self.choose(min(self._thresholds, key=distances.__getitem__))

    # --- one study -------------------------------------------------------------------------------------------------

    def open_case(self, study_instance_uid: str) -> None:
        """Open a known study in a viewer of its own."""
        if self.found is None:
            return
        case = next(one for one in self.found.result.cases if one.study_instance_uid == study_instance_uid)
        try:
            if self._window is None:
                self._window = KnownStudyWindow(
                    self.context, RunPlace(self.context.running.place, self.found.run.number)
                )
                self._window.closed.connect(self._window_closed)
        except AicoronaError as error:
            self.say.emit(str(error))
            return
        score = "–" if case.p_covid is None else decimal(100 * case.p_covid, 1)
        text = translate("Verification", "{study}. Label: {label}. Model score: {score}.")
        self._window.show_study(
            study_instance_uid, text.format(study=_name(case), label=class_name(case.label), score=score)
        )

    def _window_closed(self) -> None:
        self._window = None


# --- words ---------------------------------------------------------------------------------------------------------


def head_lines(found: Found) -> list[Line]:
    """Return which run this is, of how many studies, and what is missing in it."""
    result, run = found.result, found.run
    scored, every = words.studies_counted(len(result.scored)), number(len(result.cases))
    text = translate("Verification", "{scored} with a score, of {all} with a label: {classes}. Begun on {day}.")
    lines = [
        Line(
            text.format(
                scored=scored, all=every, classes=labels_text(dict(result.of_class)), day=words.moment_text(run.at)
            )
        ),
    ]
    if result.devices:
        lines.append(Line(", ".join(map(device_name, result.devices)), translate("Verification", "Device")))
    if run.ended_at is None:
        lines.append(
            Line(translate("Verification", "The run is not finished: these figures will change."), strong=True)
        )
    if not result.has_both:
        none = translate("Verification", "Figures need scored studies with COVID-19 and others.")
        lines.append(Line(none, strong=True))
    return lines


def figure_lines(judged: Judged, prevalence: float) -> list[Line]:
    """Return every figure with its interval and how that was made."""
    figures, counts = judged.assessment, judged.counts
    auc, se, sp = (figures.interval(name) for name in ("auc", "sensitivity", "specificity"))
    ppv, npv = judged.predictive
    with_n = translate("Verification", "{figure}, {count} of {all} ({method})")
    share = decimal(100 * prevalence, 1)
    at = translate("Verification", "{name} where {share} % have COVID-19")
    lines = [
        Line(
            translate("Verification", "{figure} ({method})").format(figure=area(auc), method=method_name(auc)),
            translate("Verification", "AUC"),
        ),
        Line(
            with_n.format(
                figure=percent(se),
                count=number(counts.true_positives),
                all=number(counts.positives),
                method=method_name(se),
            ),
            translate("Verification", "Sensitivity"),
        ),
        Line(
            with_n.format(
                figure=percent(sp),
                count=number(counts.true_negatives),
                all=number(counts.negatives),
                method=method_name(sp),
            ),
            translate("Verification", "Specificity"),
        ),
        Line(percent(ppv), at.format(name=translate("Verification", "Flags that are right"), share=share)),
        Line(percent(npv), at.format(name=translate("Verification", "Others without COVID-19"), share=share)),
    ]
    worst = judged.worst_case
    if worst != counts:
        text = translate("Verification", "sensitivity {se} %, specificity {sp} %").format(
            se=decimal(100 * worst.true_positives / worst.positives, 1),
            sp=decimal(100 * worst.true_negatives / worst.negatives, 1),
        )
        lines.append(Line(text, translate("Verification", "At worst, studies without a score counted as wrong")))
    if figures.note:
        text = translate("Verification", "Some patients have several studies: the intervals are by patient.")
        lines.append(Line(text))
    return lines


def _hint() -> Lines:
    hint = Lines("result_hint")
    hint.show_lines((Line(translate("Verification", "A double click or the enter key opens a study.")),))
    return hint


def _group_headers() -> tuple[str, ...]:
    return (
        translate("Verification", "Group"),
        translate("Verification", "n"),
        translate("Verification", "Sensitivity"),
        translate("Verification", "Specificity"),
        translate("Verification", "AUC"),
    )


def _group_cells(group: Subgroup) -> tuple[str, ...]:
    kinds = {
        "scanner": translate("Verification", "Scanner"),
        "kernel": translate("Verification", "Kernel"),
        "thickness": translate("Verification", "Slice thickness"),
    }
    name = translate("Verification", "not known") if group.group == UNKNOWN else group.group
    shown = translate("Verification", "{kind}: {name}").format(kind=kinds[group.split_by], name=name)
    counts = group.counts
    n = translate("Verification", "{all} ({covid} with COVID-19)").format(
        all=number(group.rows), covid=number(counts.positives)
    )
    if group.rows < FEWEST:
        return shown, n, translate("Verification", "too few"), translate("Verification", "too few"), "–"
    return shown, n, percent(group.sensitivity), percent(group.specificity), area(group.auc)


def _case_cells(case: KnownCase) -> tuple[str, ...]:
    score = "–" if case.p_covid is None else decimal(100 * case.p_covid, 1)
    return _name(case), class_name(case.label), score, case.scanner or "–"


def _name(case: KnownCase) -> str:
    """How a known study is called: by its description and date, and the end of its UID; never by a person's name."""
    row = case.row
    described = "" if row is None else " ".join(part for part in (row.study_date, row.study_description) if part)
    return f"{described} …{case.study_instance_uid[-12:]}".strip()
