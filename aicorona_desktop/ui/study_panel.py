"""The panel beside the picture: the score and everything it rests on, in a fixed order, each group foldable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QEvent, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.viewing import ViewedSeries, ViewedStudy
from aicorona_desktop.core.events import NotDone, Verified
from aicorona_desktop.core.score import CLASSES, Score
from aicorona_desktop.triage.engine import Engine
from aicorona_desktop.triage.rescore import Agreement
from aicorona_desktop.ui import study_words as words
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.contributions import without_top_slices
from aicorona_desktop.ui.contributions_view import ContributionList, FragilityView
from aicorona_desktop.ui.fold import Fold, Line, Lines, wrap
from aicorona_desktop.ui.identity_dialogs import ask_identity
from aicorona_desktop.ui.map_layer import MapLayer, MapState, shows_map
from aicorona_desktop.ui.model_card import ModelCard
from aicorona_desktop.ui.study_facts import SeriesOffer, StudyFacts, offers, read_facts, threshold_of
from aicorona_desktop.ui.study_lines import (
    earlier_lines,
    file_lines,
    map_lines,
    model_lines,
    offer_text,
    score_lines,
    series_lines,
    suitability_lines,
    waiting_lines,
)
from aicorona_desktop.ui.version_dialog import ask_version
from aicorona_desktop.ui.viewer_state import ViewerState
from aicorona_desktop.ui.worklist_words import is_covered

translate = QCoreApplication.translate

SCORE_FONT = 2.2
"""How much larger than text the score is: it is read first, also from a step away."""

LEAST_LETTERS = 32
READ_EVERY_MS = 250
"""A study being scored changes with every slice; nobody reads faster than this."""

AGREEING = frozenset({Agreement.IDENTICAL.value, Agreement.WITHIN_TOLERANCE.value})


class ShareBar(QWidget):
    """A bar filled from the left by a share, in the accent: Qt's own takes the colour of selections, too faint here."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.share = 0.0

    def show_share(self, share: float) -> None:
        """Fill the bar by a share from 0 to 1."""
        self.share = share
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's signature
        """Draw the bar, from the left in every language."""
        whole, palette = self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5), self.palette()
        filled = QRectF(whole)
        filled.setWidth(whole.width() * self.share)
        with QPainter(self) as painter:
            painter.fillRect(filled, palette.color(QPalette.ColorRole.Accent))
            painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
            painter.drawRect(whole)


class ClassBar(QWidget):
    """One class of the model: its name, its value, and a bar of it below, so that no text is cut off."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(f"class_{name}")
        self.label = QLabel(self)
        wrap(self.label)
        self.bar = ShareBar(self)
        self.bar.setFixedHeight(self.fontMetrics().height() // 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addWidget(self.label)
        layout.addWidget(self.bar)

    def show_value(self, name: str, value: float) -> None:
        """Show a model output from 0 to 1."""
        text = translate("StudyPanel", "{name}: {value}").format(name=name, value=words.points(value))
        self.label.setText(text)
        self.bar.show_share(value)
        self.bar.setAccessibleName(text)


class ScoreBox(QWidget):
    """The number, what belongs to it, and the three classes; or why there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.number = QLabel(self)
        self.number.setObjectName("model_score")
        font = self.number.font()
        font.setPointSizeF(SCORE_FONT * font.pointSizeF())
        self.number.setFont(font)
        self.lines = Lines("score_lines")
        self.bars = {name: ClassBar(name) for name in reversed(CLASSES)}
        self.trouble = Lines("trouble")
        self.copy = QPushButton(translate("StudyPanel", "Copy"), self)
        self.copy.setObjectName("copy_trouble")
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.trouble.text))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.number, self.trouble, self.copy, *self.bars.values(), self.lines):
            layout.addWidget(widget)

    def show_score(self, score: Score, lines: list[Line]) -> None:
        """Show a score with the lines that belong to it."""
        text = words.score_text(score)
        self._arrange(number=text, classes=True, trouble=None)
        self.number.setAccessibleName(translate("StudyPanel", "Model score {score}").format(score=text))
        for name, bar in self.bars.items():
            bar.show_value(words.class_name(name), score.probabilities[CLASSES.index(name)])
        self.lines.show_lines(lines)

    def show_trouble(self, trouble: words.Trouble) -> None:
        """Show why there is no score, what that means, and what to do."""
        self._arrange(number=translate("StudyPanel", "Cannot be scored"), classes=False, trouble=trouble)

    def show_text(self, lines: list[Line]) -> None:
        """Show sentences in place of a score."""
        self._arrange(number="", classes=False, trouble=None)
        self.lines.show_lines(lines)

    def _arrange(self, *, number: str, classes: bool, trouble: words.Trouble | None) -> None:
        self.number.setText(number)
        self.number.setAccessibleName(number)
        self.number.setVisible(bool(number))
        for bar in self.bars.values():
            bar.setVisible(classes)
        parts = (
            () if trouble is None else (Line(trouble.happened, strong=True), Line(trouble.means), Line(trouble.to_do))
        )
        self.trouble.show_lines(parts)
        self.trouble.setVisible(trouble is not None)
        self.copy.setVisible(trouble is not None)
        self.lines.show_lines(())


class SeriesBox(QWidget):
    """Which series was used and why; another one is used on demand, and both scores are kept."""

    chosen = Signal(str, bool)  # Series Instance UID; whether the gate's objections are to be passed over

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines("series_lines")
        self.other = QPushButton(translate("StudyPanel", "Use another series…"), self)
        self.other.setObjectName("use_another_series")
        self.other.setCheckable(True)
        self.choices = QWidget(self)
        self._choices = QVBoxLayout(self.choices)
        self._choices.setContentsMargins(0, 0, 0, 0)
        self.other.toggled.connect(self.choices.setVisible)
        self.choices.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.lines, self.other, self.choices):
            layout.addWidget(widget)

    def show_offers(self, found: tuple[SeriesOffer, ...], used: str, why_not: str) -> None:
        """Offer these series but the one that is used; `why_not` says why none can be chosen now."""
        while (item := self._choices.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        others = [one for one in found if one.uid != used and one.slices]
        for offer in others:
            self._add(offer)
        reason = why_not or ("" if others else translate("StudyPanel", "The study has no other series of slices."))
        self.other.setEnabled(not reason)
        self.other.setToolTip(reason)
        self.other.setText(
            translate("StudyPanel", "Use another series…")
            if used
            else translate("StudyPanel", "Score a series anyway…")
        )
        if reason:
            self.other.setChecked(False)

    def _add(self, offer: SeriesOffer) -> None:
        text = offer_text(offer)
        label = QLabel(text, self.choices, textFormat=Qt.TextFormat.PlainText)
        wrap(label)
        anyway = not _fits(offer)
        button = QPushButton(
            translate("StudyPanel", "Score anyway") if anyway else translate("StudyPanel", "Use this series"),
            self.choices,
        )
        button.setObjectName(f"use_series_{offer.number}")
        button.setAccessibleName(f"{button.text()}: {text}")
        button.clicked.connect(lambda: self.chosen.emit(offer.uid, anyway))
        self._choices.addWidget(label)
        self._choices.addWidget(button)


class StudyPanel(QWidget):
    """All groups of one study; reads the history by itself, and again whenever the study changes."""

    say = Signal(str)
    go_to_slice = Signal(int)  # of the series on the screen
    use_series = Signal(str)
    map_requested = Signal(bool)

    def __init__(self, context: Context, layer: MapLayer | None = None, parent: QWidget | None = None) -> None:
        """`layer` is the maps that the viewer draws; the panel makes one of its own where there is no viewer."""
        super().__init__(parent)
        self.setObjectName("study_panel")
        self.setAccessibleName(translate("StudyPanel", "Score of the study"))
        self._context = context
        self.layer = layer or MapLayer(context, self)
        self._uid = ""
        self._facts: StudyFacts | None = None
        self._offers: tuple[SeriesOffer, ...] = ()
        self._series: ViewedSeries | None = None
        self._viewed: ViewedStudy | None = None
        self._state = ViewerState()
        self._make_groups()
        self._connect()
        self._refresh()

    # --- what is shown ----------------------------------------------------------------------------------------------

    def show_study(self, study_instance_uid: str) -> None:
        """Show a study of the history."""
        if study_instance_uid != self._uid:
            self._uid, self._facts, self._offers, self._viewed, self._series = study_instance_uid, None, (), None, None
            self.answer.show_lines(())
            for key in ("map", "contributions"):
                self.folds[key].set_open(False)  # they start hidden with every study, as the map does
            self._refresh()
        self._read()

    def set_viewed(self, viewed: ViewedStudy) -> None:
        """Take what the viewer has read: from here on slices have numbers, and other series can be offered."""
        if viewed.study_instance_uid != self._uid:
            self.show_study(viewed.study_instance_uid)
        self._viewed = viewed
        self._series = self._on_screen()
        study = viewed.study
        self._context.jobs.run(
            lambda: offers(study), self._offered, self._context.jobs.failed.emit, key="offered series", owner=self
        )
        self._refresh_contributions()

    def set_state(self, state: ViewerState) -> None:
        """Follow the viewer: its class, its series and its slice."""
        before, self._state = self._state, state
        if before.series_instance_uid != state.series_instance_uid:
            self._series = self._on_screen()
        if (before.map_class, before.series_instance_uid) != (state.map_class, state.series_instance_uid):
            self._refresh_maps()
            self._refresh_contributions()
        if shows_map(before) != shows_map(state):
            self._refresh_maps()
        self._mark_slice()

    # --- making -----------------------------------------------------------------------------------------------------

    def _make_groups(self) -> None:
        self.score, self.series = ScoreBox(), SeriesBox()
        self.suitability, self.files = Lines("suitability"), Lines("files")
        self.check, self.model, self.earlier = Lines("map_check"), Lines("model"), Lines("earlier")
        self.contributions, self.fragility = ContributionList(), FragilityView()
        self.show_map = _button("show_map", translate("StudyPanel", "Show map"))
        self.show_map.setCheckable(True)
        self.compute_anew = _button("compute_maps_anew", translate("StudyPanel", "Compute the maps anew"))
        self.identity = _button("choose_identity", translate("StudyPanel", "Choose whose study it is…"))
        self.version = _button("choose_version", translate("StudyPanel", "Choose which images count…"))
        self.answer = Lines("answer")
        self.card = _button("model_card_button", translate("StudyPanel", "Model card"))
        self.score_again = _button("score_again", translate("StudyPanel", "Score again"))
        self.verify = _button("verify_score", translate("StudyPanel", "Check that the score is the same"))
        choices = (self.identity, self.version)
        groups = (
            _Group("score", translate("StudyPanel", "Model score (COVID-19)"), (self.score, *choices)),
            _Group("series", translate("StudyPanel", "Series and slices"), (self.series,)),
            _Group("suitability", translate("StudyPanel", "Suitability"), (self.suitability,)),
            _Group("map", translate("StudyPanel", "Map"), (self.show_map, self.check, self.compute_anew), fixed=True),
            _Group("contributions", translate("StudyPanel", "Contributions"), (self.contributions,), fixed=True),
            _Group("fragility", translate("StudyPanel", "Without the strongest slices"), (self.fragility,), False),
            _Group("model", translate("StudyPanel", "Model and device"), (self.model, self.card), False),
            _Group("files", translate("StudyPanel", "Files"), (self.files,), False),
            _Group(
                "earlier",
                translate("StudyPanel", "Earlier scores"),
                (self.earlier, self.answer, self.score_again, self.verify),
                False,
            ),
        )
        self._inside = QWidget()
        column = QVBoxLayout(self._inside)
        gap = column.contentsMargins()
        column.setContentsMargins(0, 0, 0, 0)
        self._inside.setContentsMargins(gap)
        self.folds = {one.key: one.made(self._context) for one in groups}
        for fold in self.folds.values():
            column.addWidget(fold)
        column.addStretch(1)
        self.area = QScrollArea(self)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        # Hidden content is a safety matter: the bar is always there, and nothing lies beside the edge.
        self.area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(self._inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)
        self._fit_width()

    def _connect(self) -> None:
        self._narrow = QTimer(self, singleShot=True, interval=0)
        self._narrow.timeout.connect(self._fit_width)
        for fold in self.folds.values():
            fold.arranged.connect(self._narrow.start)
        self.folds["contributions"].arranged.connect(self._mark_slice)
        self._soon = QTimer(self, singleShot=True, interval=READ_EVERY_MS)
        self._soon.timeout.connect(self._read)
        self.series.chosen.connect(self._use_series)
        self.contributions.chosen.connect(self._go_to)
        self.show_map.clicked.connect(self.map_requested)
        self.compute_anew.clicked.connect(self.layer.compute_anew)
        self.card.clicked.connect(self._show_card)
        self.score_again.clicked.connect(self._score_again)
        self.identity.clicked.connect(self._choose_identity)
        self.version.clicked.connect(self._choose_version)
        self.verify.clicked.connect(self._verify)
        self.layer.changed.connect(self._refresh_maps)
        self._context.bridge.studies_changed.connect(self._studies_changed)
        self._context.bridge.verified.connect(self._verified)
        self._context.bridge.not_done.connect(self._not_done)
        self._context.site.changed.connect(self._refresh)

    def changeEvent(self, event: QEvent) -> None:
        """Grow with the text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and hasattr(self, "_narrow"):
            self._narrow.start()  # in the next turn: the widgets inside come after this one

    def _fit_width(self) -> None:
        """Be as wide as the widest button at least: nothing lies beside the edge."""
        inside = max(self._inside.minimumSizeHint().width(), LEAST_LETTERS * self.fontMetrics().averageCharWidth())
        self.setMinimumWidth(inside + self.area.verticalScrollBar().sizeHint().width())

    # --- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        uid, reading = self._uid, self._context.reading
        self._context.jobs.run(
            lambda: read_facts(reading, uid), self._take, self._unreadable, key="facts of the study", owner=self
        )

    def _take(self, facts: StudyFacts | None) -> None:
        if facts is None or facts.row.study_instance_uid != self._uid:
            return
        before = self._facts
        self._facts = facts
        if before is not None and before.result != facts.result:
            self.answer.show_lines(())  # what was asked for has come
        self._refresh()

    def _unreadable(self, sentence: str) -> None:
        self.score.show_text([Line(sentence, strong=True)])

    def _offered(self, found: tuple[SeriesOffer, ...]) -> None:
        self._offers = found
        self._refresh_series()

    def _studies_changed(self, uids: frozenset[str]) -> None:
        if self._uid in uids and not self._soon.isActive():
            self._soon.start()

    # --- drawing ----------------------------------------------------------------------------------------------------

    @property
    def _covered(self) -> bool:
        """Whether the site wants the own impression first, and there is none yet, as far as is known."""
        look_first = self._context.site.value.look_first
        return look_first if self._facts is None else is_covered(self._facts.row, look_first)

    @property
    def _score(self) -> Score | None:
        """The score that may be shown now."""
        result = None if self._facts is None else self._facts.result
        return None if result is None or self._covered or not words.is_valid(result.score) else result.score

    def _refresh(self) -> None:
        self.layer.cover(self._covered)
        self._refresh_score()
        self._refresh_series()
        self._refresh_maps()
        self._refresh_contributions()
        facts, pack = self._facts, self._context.running.pack
        shown = facts.result if facts is not None and not self._covered else None
        self.suitability.show_lines(suitability_lines(facts.row.findings) if facts else ())
        self.folds["suitability"].set_title(self._suitability_title())
        self.model.show_lines(
            model_lines(shown, pack) if shown is not None else _pack_lines(pack.title, pack.status_text)
        )
        self.files.show_lines(file_lines(facts.row, facts.left_out) if facts else ())
        self.earlier.show_lines(
            earlier_lines(facts, self._context.now()) if facts is not None and not self._covered else ()
        )
        self._enable()

    def _refresh_score(self) -> None:
        facts = self._facts
        if facts is None:
            self.score.show_text([])
        elif self._covered:
            self.score.show_text([Line(translate("StudyPanel", "Covered until your own impression is saved."))])
        elif facts.trouble:
            self.score.show_trouble(_changed_outside(facts.trouble))
        elif self._score is not None:
            running = self._context.running
            own = facts.verification or running.points.in_use().verification
            threshold = threshold_of(self._score, running.pack, own, self._context.now())
            self.score.show_score(self._score, score_lines(facts, self._score, running.pack, threshold))
        elif facts.result is not None:
            self.score.show_trouble(words.out_of_range())
        elif (trouble := words.trouble_of(facts.row)) is not None:
            self.score.show_trouble(trouble)
        else:
            self.score.show_text(waiting_lines(facts.row))

    def _refresh_series(self) -> None:
        facts = self._facts
        self.series.lines.show_lines(series_lines(facts, self._context.running.pack) if facts else ())
        used = facts.row.series_instance_uid if facts is not None else ""
        if facts is not None and facts.result is None:
            used = ""  # the series that stands for the study was not scored: it may be, after all
        self.series.show_offers(self._offers, used, self._why_read_only())

    def _refresh_maps(self) -> None:
        off = self.layer.state is MapState.OFF
        shows = not off and not self._covered
        self.folds["map"].setVisible(shows)
        self.folds["contributions"].setVisible(shows and self._score is not None)
        self.show_map.setChecked(shows_map(self._state))
        self.show_map.setEnabled(self.layer.state is not MapState.NO_SCORE)
        self.show_map.setToolTip(self.layer.sentence)
        self.check.show_lines(map_lines(self.layer, self._state.map_class))
        self.compute_anew.setVisible(self.layer.state is MapState.WRONG and self._context.writable)

    def _refresh_contributions(self) -> None:
        score = self._score
        self.folds["contributions"].setVisible(score is not None and self.layer.state is not MapState.OFF)
        self.folds["fragility"].setVisible(score is not None)
        if score is None:
            return
        self.contributions.show_score(score, self._state.map_class, self._number_of)
        self.fragility.show_score(score, without_top_slices(score, self._context.running.pack))
        self._mark_slice()

    def _suitability_title(self) -> str:
        title = translate("StudyPanel", "Suitability")
        if self._facts is None:
            return title
        return translate("StudyPanel", "{title}: {grade}").format(
            title=title, grade=words.grade(self._facts.row.findings).lower()
        )

    def _enable(self) -> None:
        why = self._why_read_only()
        known = self._facts is not None
        self.identity.setVisible(self._facts is not None and words.has_identity_to_choose(self._facts.row))
        self.version.setVisible(self._facts is not None and words.has_version_to_choose(self._facts.row))
        for button in (self.identity, self.version):
            button.setEnabled(not why)
            button.setToolTip(why)
        scored = known and self._facts is not None and self._facts.result is not None
        for button, possible in ((self.score_again, known), (self.verify, scored)):
            button.setEnabled(possible and not why)
            button.setToolTip(why or ("" if possible else translate("StudyPanel", "There is no score yet.")))

    def _why_read_only(self) -> str:
        if self._context.writable:
            return ""
        return translate("StudyPanel", "This copy of the program is for reading only.")

    # --- slices -----------------------------------------------------------------------------------------------------

    def _on_screen(self) -> ViewedSeries | None:
        return None if self._viewed is None else self._viewed.find(self._state.series_instance_uid)

    def _scored_series(self) -> ViewedSeries | None:
        """The series that the score is of: its slices are numbered in the list, whatever is on the screen."""
        if self._viewed is None:
            return None
        return next((one for one in self._viewed.series if one.scored), None)

    def _number_of(self, place: int) -> int | None:
        series = self._scored_series()
        index = None if series is None else self.layer.slice_of(series, place)
        return None if index is None else index + 1

    def _go_to(self, place: int) -> None:
        number = self._number_of(place)
        if number is not None:
            self.go_to_slice.emit(number - 1)

    def _mark_slice(self) -> None:
        if self._series is not None and self.folds["contributions"].is_open:
            self.contributions.mark(self.layer.place_of(self._series, self._state.slice_index))

    # --- what a person asks for ---------------------------------------------------------------------------------------

    def _use_series(self, series_instance_uid: str, anyway: bool) -> None:
        self.use_series.emit(series_instance_uid)
        by = self._context.person()
        self._ask(lambda engine: engine.score_again(self._uid, series_instance_uid, anyway=anyway, by=by))
        self.series.other.setChecked(False)

    def _score_again(self) -> None:
        by = self._context.person()
        self._ask(lambda engine: engine.score_again(self._uid, by=by))

    def _choose_identity(self) -> None:
        if self._facts is not None:
            ask_identity(self._context, self._facts.row, self, self.say.emit)

    def _choose_version(self) -> None:
        if self._facts is not None:
            ask_version(self._context, self._facts.row, self, self.say.emit)

    def _verify(self) -> None:
        self._ask(lambda engine: engine.request_verification(self._uid))

    def _ask(self, request: Callable[[Engine], None]) -> None:
        """Ask the engine; what comes of it is told by the bridge."""
        engine = self._context.running.engine
        if engine is not None and self._uid:
            self.answer.show_lines((Line(translate("StudyPanel", "Asked for; it takes its turn.")),))
            request(engine)

    def _verified(self, told: Verified) -> None:
        if told.study_instance_uid == self._uid:
            self.answer.show_lines((Line(told.sentence, strong=told.agreement not in AGREEING),))

    def _not_done(self, told: NotDone) -> None:
        if told.study_instance_uid == self._uid:
            self.answer.show_lines((Line(told.sentence, strong=True),))

    def _show_card(self) -> None:
        card = ModelCard(self._context.running.pack, self)
        card.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        card.show()


@dataclass(frozen=True, slots=True)
class _Group:
    """One group before it is made; `fixed` ones open folded with every study."""

    key: str
    title: str
    widgets: tuple[QWidget, ...]
    opened: bool = True
    fixed: bool = False

    def made(self, context: Context) -> Fold:
        """Return the group under its heading."""
        content = QWidget()
        layout = QVBoxLayout(content)
        for widget in self.widgets:
            layout.addWidget(widget)
        memory = None if self.fixed else context.user
        return Fold(self.key, self.title, content, memory, opened=self.opened and not self.fixed)


def _button(name: str, text: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    return button


def _fits(offer: SeriesOffer) -> bool:
    return all(one.outcome.value in ("scored", "warned") for one in offer.findings)


def _pack_lines(title: str, status: str) -> list[Line]:
    return [Line(title, translate("StudyPanel", "Model pack")), Line(status, translate("StudyPanel", "Status"))]


def _changed_outside(sentence: str) -> words.Trouble:
    return words.Trouble(
        sentence,
        translate("StudyPanel", "The study waits under Needs a person."),
        translate("StudyPanel", "Score it again, and read it in any case."),
    )
