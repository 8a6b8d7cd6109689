"""Reader studies in the place of verification: which there are, how far they have come, and what can be done now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLocale, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.reader_study import Event, Kind, Step, StudyState
from aicorona_desktop.app.reader_study_design import SESSIONS, Design
from aicorona_desktop.app.reader_study_files import EventLog, make_study, read_study, write_study
from aicorona_desktop.app.reader_study_results import Results, results_of
from aicorona_desktop.core.score import Triple
from aicorona_desktop.history.store import StoredReaderStudy
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.escalation_dialog import allow_saving, save_or_not
from aicorona_desktop.ui.fold import Line, Lines
from aicorona_desktop.ui.reader_study_progress import nothing_yet, session_words, step_words, study_lines
from aicorona_desktop.ui.reader_study_reading import ReadingWindow
from aicorona_desktop.ui.reader_study_results import ResultsSheet
from aicorona_desktop.ui.reader_study_words import level_words
from aicorona_desktop.ui.study_facts import threshold_of
from aicorona_desktop.ui.verification_parts import Page

translate = QCoreApplication.translate

LANE = "ledger"


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """The study that is chosen, with its events."""

    number: int
    state: StudyState
    events: tuple[Event, ...]


class ReaderStudies(QWidget):
    """Chooses a study, lists its readers, and starts what may be started; reads the history by itself."""

    say = Signal(str)

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("reader_studies")
        self.context = context
        self.open_study: OpenStudy | None = None
        self.reading: ReadingWindow | None = None
        self.choice = QComboBox(self)
        self.choice.setAccessibleName(translate("ReaderStudy", "Reader study"))
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.lines = Lines("reader_study_lines")
        self.list = self._made_list()
        self.buttons = {
            "new": self._button("new", translate("ReaderStudy", "New reader study…"), self.ask_for_study),
            "read": self._button("read", translate("ReaderStudy", "Read as this reader"), self.read),
            "results": self._button("results", translate("ReaderStudy", "Results"), self.show_results),
            "unblind": self._button("unblind", translate("ReaderStudy", "Show results early…"), self.ask_to_unblind),
            "export": self._button("export", translate("ReaderStudy", "Save as files…"), self.ask_to_export),
        }
        self._lay_out()
        self.choice.activated.connect(lambda _: self._read_chosen())
        self.list.itemSelectionChanged.connect(self._refresh_buttons)
        self._refresh()

    # --- what others ask for ----------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Read which studies there are."""
        reading = self.context.reading
        self.context.jobs.run(reading.reader_studies, self._listed, self.say.emit, key="reader studies", owner=self)

    def end(self) -> None:
        """Close a reading under way; the program ends."""
        reading, self.reading = self.reading, None
        if reading is not None:
            reading.closed.disconnect()
            reading.close()

    def make(self, design: Design) -> None:
        """Keep a new study, and choose it."""
        history, person = self.context.running.history, self.context.person()
        self._run(lambda: make_study(history, design, person), self._made)

    def read(self) -> None:
        """Open the reading of the chosen reader over the window, as the study stands in the history now."""
        found, reader, reading = self.open_study, self.reader, self.context.reading
        if found is None or not reader or self.reading is not None:
            return
        self._run(lambda: OpenStudy(found.number, *read_study(reading, found.number)), partial(self._sit_down, reader))

    def _sit_down(self, reader: str, found: OpenStudy) -> None:
        if self.reading is not None:
            return
        window = self.window()
        self.reading = reading = ReadingWindow(self.context, found.number, found.state, reader)
        reading.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        reading.closed.connect(lambda: self._reading_closed(window))
        reading.resize(window.size())
        reading.setWindowState(window.windowState())
        reading.show()
        reading.activateWindow()
        window.setEnabled(False)  # no place of the program can be reached
        window.hide()

    def show_results(self) -> None:
        """Compute the results on a thread, and show them."""
        found = self.open_study
        if found is not None:
            self._run(partial(read_results, self.context, found.state), self._show_results)

    def unblind(self, by: str, why: str) -> None:
        """Record that somebody wants the results before all have finished."""
        self._happened(Kind.UNBLINDED, {"by": by, "why": why}, then=self._read_chosen)

    def export(self, folder: Path) -> None:
        """Write readers.csv and design.json into a folder."""
        found, now = self.open_study, self.context.now()
        if found is None:
            return

        def done(paths: tuple[Path, ...]) -> None:
            names = ", ".join(path.name for path in paths)
            self.say.emit(translate("ReaderStudy", "Saved: {names}").format(names=names))
            self._happened(Kind.EXPORTED, {"by": self.context.person()}, then=self._read_chosen)

        self._run(lambda: write_study(folder, found.state, found.events, now), done)

    @property
    def reader(self) -> str:
        """The code of the reader in the chosen row; "" where none is chosen."""
        found, row = self.open_study, self.list.currentRow()
        return found.state.design.readers[row].code if found is not None and row >= 0 else ""

    # --- making -----------------------------------------------------------------------------------------------------

    def _made_list(self) -> QTableWidget:
        made = QTableWidget(0, 5, self)
        made.setObjectName("reader_study_readers")
        made.setAccessibleName(translate("ReaderStudy", "Readers"))
        made.setHorizontalHeaderLabels(
            [
                translate("ReaderStudy", "Reader"),
                translate("ReaderStudy", "Level"),
                translate("ReaderStudy", "First session"),
                translate("ReaderStudy", "Second session"),
                translate("ReaderStudy", "Next"),
            ]
        )
        made.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        made.horizontalHeader().setStretchLastSection(True)
        made.verticalHeader().hide()
        made.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        made.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        made.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        return made

    def _button(self, name: str, text: str, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(f"reader_study_{name}")
        button.clicked.connect(lambda _=False: act())
        return button

    def _lay_out(self) -> None:
        above = QHBoxLayout()
        above.addWidget(self.choice)
        above.addWidget(self.buttons["new"])
        above.addStretch(1)
        below = QHBoxLayout()
        for name in ("read", "results", "unblind", "export"):
            below.addWidget(self.buttons[name])
        below.addStretch(1)
        column = QVBoxLayout(self)
        column.addLayout(above)
        column.addWidget(self.lines)
        column.addWidget(self.list)
        column.addLayout(below)
        column.addStretch(1)

    # --- reading the history ----------------------------------------------------------------------------------------

    def _run(self, work: Callable[[], object], done: Callable[..., None]) -> None:
        self.context.jobs.run(work, done, self.say.emit, lane=LANE, owner=self)

    def _listed(self, studies: tuple[StoredReaderStudy, ...]) -> None:
        chosen = self.choice.currentData()
        self.choice.clear()
        for one in reversed(studies):
            self.choice.addItem(one.name, one.number)
        place = self.choice.findData(chosen) if chosen is not None else 0
        self.choice.setCurrentIndex(max(place, 0) if studies else -1)
        self._read_chosen()

    def _made(self, number: int) -> None:
        self.choice.insertItem(0, "", number)
        self.choice.setCurrentIndex(0)
        self.enter()

    def _read_chosen(self) -> None:
        number = self.choice.currentData()
        if number is None:
            self.open_study = None
            self._refresh()
            return
        reading = self.context.reading

        def read() -> OpenStudy:
            return OpenStudy(number, *read_study(reading, number))

        def failed(sentence: str) -> None:
            self.open_study = None
            self._refresh(sentence)

        self.context.jobs.run(read, self._opened, failed, key="reader study", owner=self)

    def _opened(self, found: OpenStudy) -> None:
        self.open_study = found
        self._refresh()

    def _happened(self, kind: Kind, details: dict[str, str], then: Callable[[], None]) -> None:
        found = self.open_study
        if found is None:
            return
        log = EventLog(self.context.running.history, found.number)
        log.add(Event(kind, self.context.now(), details=details))
        self._run(log.write, lambda _: then())

    # --- drawing ----------------------------------------------------------------------------------------------------

    def _refresh(self, trouble: str = "") -> None:
        found = self.open_study
        self.choice.setVisible(self.choice.count() > 0)
        self.list.setVisible(found is not None)
        if found is None:
            self.list.setRowCount(0)
            self.lines.show_lines([Line(trouble or nothing_yet(), strong=bool(trouble))])
        else:
            self.lines.show_lines(study_lines(found.state))
            self._fill_list(found.state)
        self._refresh_buttons()

    def _fill_list(self, state: StudyState) -> None:
        chosen = max(self.list.currentRow(), 0)
        readers, now = state.design.readers, self.context.now()
        self.list.setRowCount(len(readers))
        for row, one in enumerate(readers):
            sessions = [state.session(one.code, number) for number in SESSIONS]
            level = level_words(one.level)
            years = translate("ReaderStudy", "{level}, {years} years")
            told = level if one.years is None else years.format(level=level, years=QLocale().toString(one.years))
            standing = state.standing(one.code, now)
            cells = (one.code, told, *map(session_words, sessions), step_words(standing))
            for column, text in enumerate(cells):
                self.list.setItem(row, column, QTableWidgetItem(text))
        self.list.setCurrentCell(min(chosen, len(readers) - 1), 0)
        rows = self.list.verticalHeader().length() + self.list.horizontalHeader().sizeHint().height()
        self.list.setFixedHeight(rows + 2 * self.list.frameWidth())

    def _refresh_buttons(self) -> None:
        found, writable = self.open_study, self.context.writable
        read_only = translate("ReaderStudy", "The history is open for reading only.")
        finished = self._step() is Step.FINISHED
        for name in ("unblind", "results", "export", "read"):
            self.buttons[name].setVisible(found is not None)
        _allow(self.buttons["new"], "" if writable else read_only)
        if found is None:
            return
        done = translate("ReaderStudy", "This reader has finished both sessions.")
        _allow(self.buttons["read"], (done if finished else "") if writable else read_only)
        covered = translate("ReaderStudy", "The results are covered until all readers have finished both sessions.")
        _allow(self.buttons["results"], "" if found.state.results_are_open else covered)
        _allow(self.buttons["export"], ("" if found.state.results_are_open else covered) if writable else read_only)
        self.buttons["unblind"].setVisible(not found.state.results_are_open)
        _allow(self.buttons["unblind"], "" if writable else read_only)

    def _step(self) -> Step | None:
        found, reader = self.open_study, self.reader
        return found.state.standing(reader, self.context.now()).step if found is not None and reader else None

    # --- sheets -----------------------------------------------------------------------------------------------------

    def ask_for_study(self) -> None:
        """Open the sheet in which a study is laid down."""
        from aicorona_desktop.ui.reader_study_dialog import StudySheet

        sheet = StudySheet(self.context, self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.accepted.connect(lambda: self.make(sheet.design))
        sheet.open()

    def ask_to_unblind(self) -> None:
        """Ask who wants the results early, and why."""
        sheet = UnblindSheet(self.context.person(), self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.accepted.connect(lambda: self.unblind(sheet.by.text().strip(), sheet.why.text().strip()))
        sheet.open()

    def ask_to_export(self) -> None:
        """Ask for the folder of the files."""
        title = translate("ReaderStudy", "Folder for readers.csv and design.json")
        chosen = QFileDialog.getExistingDirectory(self, title)
        if chosen:
            self.export(Path(chosen))

    def _show_results(self, results: Results) -> None:
        sheet = ResultsSheet(results, self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()

    def _reading_closed(self, window: QWidget) -> None:
        self.reading = None
        window.setEnabled(True)
        window.show()
        window.activateWindow()
        self._read_chosen()


class ReaderStudyPage(Page):
    """Reader studies as a page of the verification."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("reader_study_page", parent)
        self.studies = ReaderStudies(context)
        self.studies.say.connect(self.say)
        self.column.addWidget(self.studies)
        self.close_column()

    def enter(self) -> None:
        """Read which studies there are."""
        self.studies.enter()

    def end(self) -> None:
        """Close a reading under way; it goes on at the next start."""
        self.studies.end()


class UnblindSheet(Sheet):
    """Who shows the results before all readers have finished, and why; both are kept with the study."""

    def __init__(self, initials: str, parent: QWidget | None = None) -> None:
        super().__init__(translate("ReaderStudy", "Show the results early"), parent, (64, 12))
        lines = Lines("unblind_lines")
        lines.show_lines(
            [
                Line(
                    translate(
                        "ReaderStudy",
                        "Readers who learn how they did read differently afterwards. That the results were shown is "
                        "kept with the study, and said wherever they appear.",
                    )
                )
            ]
        )
        self.body.addWidget(lines)
        self.by, self.why = QLineEdit(initials, self), QLineEdit(self)
        form = QFormLayout()
        rows = ((translate("ReaderStudy", "Your initials"), self.by), (translate("ReaderStudy", "Why"), self.why))
        for label, field in rows:
            field.setAccessibleName(label)
            form.addRow(label, field)
            field.textChanged.connect(self._enable)
        self.body.addLayout(form)
        self.body.addStretch(1)
        self.buttons = save_or_not(self)
        self._enable()

    def _enable(self) -> None:
        given = self.by.text().strip() and self.why.text().strip()
        allow_saving(self.buttons, "" if given else translate("ReaderStudy", "Give your initials and the reason."))


# --- the results, on a thread ------------------------------------------------------------------------------------


def read_results(context: Context, state: StudyState) -> Results:
    """Return the results against the scores that stand now.

    Raises:
        ReaderStudyError: they are covered.
        HistoryError: the history can't be read.
    """
    history, pack = context.reading, context.running.pack
    probabilities: dict[str, Triple] = {}
    threshold: float | None = None
    for case in state.design.cases:
        result = history.result(case.study_instance_uid)
        if result is not None and not result.score.preliminary:
            probabilities[case.study_instance_uid] = result.score.probabilities
            verification = history.site_verification(result.score.pack_sha256)
            point = threshold_of(result.score, pack, verification, context.now())
            threshold = threshold if point is None else point.value
    return results_of(state, probabilities, threshold)


def _allow(button: QPushButton, why_not: str) -> None:
    button.setEnabled(not why_not)
    button.setToolTip(why_not)
    button.setAccessibleDescription(why_not)
