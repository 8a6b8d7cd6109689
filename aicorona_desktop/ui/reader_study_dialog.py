"""The sheet in which a reader study is laid down: cases, readers, and the rules, which never change afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QCoreApplication, QLocale, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.reader_study_cases import Candidate, candidates_of_outcomes, candidates_of_table, cases_of
from aicorona_desktop.app.reader_study_design import (
    CHUNK_CASES,
    CHUNK_MINUTES,
    PAUSE_MINUTES,
    WASHOUT_DAYS,
    Design,
    Participant,
    ReaderStudyError,
)
from aicorona_desktop.evaluation.readers import LEVELS
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.escalation_dialog import allow_saving, save_or_not
from aicorona_desktop.ui.fold import wrap
from aicorona_desktop.ui.identity import shown_date
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.reader_study_words import level_words

translate = QCoreApplication.translate

NOT_TOLD: Final = -1
READERS: Final = (("senior1", "senior"), ("senior2", "senior"), ("junior", "junior"), ("resident", "resident"))
"""The paper's four; a site changes, adds and takes away."""


class StudySheet(Sheet):
    """Accepted once a study can be made of what stands in it; `design` is that study."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(translate("ReaderStudy", "New reader study"), parent, (112, 40))
        self._context = context
        self._seed = secrets.randbelow(2**32)
        self.name = QLineEdit(self)
        self.name.setPlaceholderText(translate("ReaderStudy", "Such as: Chest CT, autumn"))
        self.cases = CasesTable(context, self)
        self.readers = ReadersTable(self)
        self.rules = Rules(self)
        inside = QWidget()
        column = QVBoxLayout(inside)
        form = QFormLayout()
        self.name.setAccessibleName(translate("ReaderStudy", "Name of the study"))
        form.addRow(translate("ReaderStudy", "Name"), self.name)
        column.addLayout(form)
        column.addWidget(self.cases, 3)
        across = QHBoxLayout()
        across.addWidget(self.readers, 1)
        across.addWidget(self.rules, 1)
        column.addLayout(across, 2)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        self.body.addWidget(area, 1)
        self.fault = plain(QLabel(self))
        wrap(self.fault)
        self.body.addWidget(self.fault)
        self.buttons = save_or_not(self)
        self.name.textChanged.connect(self._enable)
        for part in (self.cases, self.readers, self.rules):
            part.changed.connect(self._enable)
        self._enable()

    @property
    def design(self) -> Design:
        """The study that stands here.

        Raises:
            ReaderStudyError: none can be made of it; the text says why.
        """
        return Design(
            name=self.name.text().strip(),
            cases=cases_of(self.cases.chosen, self._seed),
            readers=self.readers.participants,
            seed=self._seed,
            washout_days=self.rules.washout.value(),
            chunk_cases=self.rules.chunk_cases.value(),
            chunk_minutes=self.rules.chunk_minutes.value(),
            pause_minutes=self.rules.pause.value(),
            exclusive=self.rules.exclusive.currentData(),
            confidence=self.rules.confidence.isChecked(),
            sequential=self.rules.sequential.isChecked(),
            crossover=self.rules.crossover.isChecked(),
        )

    def _enable(self) -> None:
        try:
            _ = self.design
        except ReaderStudyError as error:
            self.fault.setText(str(error))
            allow_saving(self.buttons, str(error))
        else:
            self.fault.setText(translate("ReaderStudy", "Once saved, none of this can be changed any more."))
            allow_saving(self.buttons, "")


class CasesTable(QGroupBox):
    """The cases: from a table of labels, or from studies whose later truth is known; each can be left out."""

    changed = Signal()

    def __init__(self, context: Context, parent: QWidget) -> None:
        super().__init__(translate("ReaderStudy", "Cases"), parent)
        self._context = context
        self._candidates: tuple[Candidate, ...] = ()
        self.from_table = QPushButton(translate("ReaderStudy", "From a table of labels…"), self)
        self.from_outcomes = QPushButton(translate("ReaderStudy", "From studies with an outcome"), self)
        self.from_outcomes.setToolTip(
            translate("ReaderStudy", "All studies of the history for which somebody entered what turned out later")
        )
        self.count = plain(QLabel(self))
        wrap(self.count)
        self.list = QTableWidget(0, 4, self)
        self.list.setAccessibleName(translate("ReaderStudy", "Cases"))
        self.list.setHorizontalHeaderLabels(
            [
                translate("ReaderStudy", "Patient"),
                translate("ReaderStudy", "Date"),
                translate("ReaderStudy", "Study"),
                translate("ReaderStudy", "Label"),
            ]
        )
        self.list.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.list.verticalHeader().hide()
        self.list.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.list.itemChanged.connect(self._ticked)
        self.from_table.clicked.connect(lambda _=False: self._ask_table())
        self.from_outcomes.clicked.connect(lambda _=False: self.take_outcomes())
        buttons = QHBoxLayout()
        buttons.addWidget(self.from_table)
        buttons.addWidget(self.from_outcomes)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.addLayout(buttons)
        column.addWidget(self.count)
        column.addWidget(self.list, 1)
        self._say_count()

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        """The cases with a tick."""
        items = (self.list.item(row, 0) for row in range(self.list.rowCount()))
        ticked = (item is not None and item.checkState() is Qt.CheckState.Checked for item in items)
        return tuple(one for one, taken in zip(self._candidates, ticked, strict=True) if taken)

    def take_table(self, path: Path) -> None:
        """Read a table of labels, on a thread."""
        history = self._context.reading
        self._run(partial(candidates_of_table, path, history))

    def take_outcomes(self) -> None:
        """Take the studies whose later truth is known."""
        history = self._context.reading
        self._run(lambda: candidates_of_outcomes(history.rows()))

    def show_candidates(self, candidates: Sequence[Candidate]) -> None:
        """List studies, all of them with a tick."""
        self.list.blockSignals(True)
        self._candidates = tuple(candidates)
        self.list.setRowCount(len(candidates))
        for row, one in enumerate(candidates):
            name = self._context.identity(one.row).name
            cells = (name, shown_date(one.row.study_date), one.row.study_description, one.truth)
            items = [QTableWidgetItem(text) for text in cells]
            items[0].setCheckState(Qt.CheckState.Checked)
            for column, item in enumerate(items):
                self.list.setItem(row, column, item)
        self.list.blockSignals(False)
        self._say_count()
        self.changed.emit()

    def _run(self, work: Callable[[], tuple[Candidate, ...]]) -> None:
        self._context.jobs.run(work, self.show_candidates, self._failed, key="cases of a study", owner=self)

    def _ask_table(self) -> None:
        title = translate("ReaderStudy", "Table of labels")
        chosen, _ = QFileDialog.getOpenFileName(self, title, "", "CSV (*.csv)")
        if chosen:
            self.take_table(Path(chosen))

    def _failed(self, sentence: str) -> None:
        self.show_candidates(())
        self.count.setText(sentence)

    def _ticked(self, _: QTableWidgetItem) -> None:
        self._say_count()
        self.changed.emit()

    def _say_count(self) -> None:
        chosen, locale = self.chosen, QLocale()
        if not self._candidates:
            self.count.setText(
                translate(
                    "ReaderStudy",
                    "A table (CSV) has the column label (normal, nca, cp, covid, non_pneumonia) and one of "
                    "study_instance_uid, patient_id or folder; scan_id and subject_id may be there too.",
                )
            )
            return
        covid = sum(one.truth == "covid" for one in chosen)
        text = translate("ReaderStudy", "{count} cases, {covid} of them with the label covid")
        self.count.setText(text.format(count=locale.toString(len(chosen)), covid=locale.toString(covid)))


class ReadersTable(QGroupBox):
    """The readers: a code in place of a name, level, years."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(translate("ReaderStudy", "Readers"), parent)
        self.list = QTableWidget(0, 3, self)
        self.list.setAccessibleName(translate("ReaderStudy", "Readers"))
        self.list.setHorizontalHeaderLabels(
            [translate("ReaderStudy", "Code"), translate("ReaderStudy", "Level"), translate("ReaderStudy", "Years")]
        )
        self.list.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.list.verticalHeader().hide()
        add = QPushButton(translate("ReaderStudy", "Add a reader"), self)
        add.clicked.connect(lambda _=False: self.add(f"reader{self.list.rowCount() + 1}", "other"))
        remove = QPushButton(translate("ReaderStudy", "Take away"), self)
        remove.clicked.connect(lambda _=False: self._remove())
        buttons = QHBoxLayout()
        buttons.addWidget(add)
        buttons.addWidget(remove)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.addWidget(self.list, 1)
        column.addLayout(buttons)
        for code, level in READERS:
            self.add(code, level)

    @property
    def participants(self) -> tuple[Participant, ...]:
        """The readers as they stand."""
        return tuple(map(self._participant, range(self.list.rowCount())))

    def add(self, code: str, level: str, years: int | None = None) -> None:
        """Add a reader."""
        row = self.list.rowCount()
        self.list.setRowCount(row + 1)
        name, kind, practice = QLineEdit(code, self.list), QComboBox(self.list), QSpinBox(self.list)
        for key in LEVELS:
            kind.addItem(level_words(key), key)
        kind.setCurrentIndex(LEVELS.index(level))
        practice.setRange(NOT_TOLD, 80)
        practice.setSpecialValueText(translate("ReaderStudy", "not told"))
        practice.setValue(NOT_TOLD if years is None else years)
        fields: tuple[tuple[QWidget, str], ...] = (
            (name, translate("ReaderStudy", "Code")),
            (kind, translate("ReaderStudy", "Level")),
            (practice, translate("ReaderStudy", "Years")),
        )
        for column, (widget, words) in enumerate(fields):
            widget.setAccessibleName(words)
            self.list.setCellWidget(row, column, widget)
        self.list.resizeRowsToContents()
        name.textChanged.connect(self.changed)
        kind.currentIndexChanged.connect(self.changed)
        practice.valueChanged.connect(self.changed)
        self.changed.emit()

    def clear(self) -> None:
        """Take all readers away."""
        self.list.setRowCount(0)
        self.changed.emit()

    def _remove(self) -> None:
        row = self.list.currentRow() if self.list.currentRow() >= 0 else self.list.rowCount() - 1
        self.list.removeRow(row)
        self.changed.emit()

    def _participant(self, row: int) -> Participant:
        name, kind, practice = (self.list.cellWidget(row, column) for column in range(3))
        if not (isinstance(name, QLineEdit) and isinstance(kind, QComboBox) and isinstance(practice, QSpinBox)):
            raise ReaderStudyError("Each reader needs a code.")
        years = None if practice.value() == NOT_TOLD else practice.value()
        return Participant(name.text().strip(), str(kind.currentData()), years)


class Rules(QGroupBox):
    """The rules of the two sessions."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(translate("ReaderStudy", "Rules"), parent)
        self.washout = self._number(WASHOUT_DAYS, 0, 999)
        self.chunk_cases = self._number(CHUNK_CASES, 1, 200)
        self.chunk_minutes = self._number(CHUNK_MINUTES, 1, 240)
        self.pause = self._number(PAUSE_MINUTES, 0, 120)
        self.exclusive = QComboBox(self)
        self.exclusive.addItem(translate("ReaderStudy", "Exactly one of the three"), True)
        self.exclusive.addItem(translate("ReaderStudy", "Yes or No to each"), False)
        self.exclusive.currentIndexChanged.connect(self.changed)
        self.confidence = self._option(translate("ReaderStudy", "Ask how sure, from 0 to 100"))
        self.sequential = self._option(translate("ReaderStudy", "First impression before the model is shown"))
        self.crossover = self._option(translate("ReaderStudy", "Half the readers begin with the model"))
        form = QFormLayout(self)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        rows: tuple[tuple[str, QWidget], ...] = (
            (translate("ReaderStudy", "Days between the sessions"), self.washout),
            (translate("ReaderStudy", "Cases in a part"), self.chunk_cases),
            (translate("ReaderStudy", "Minutes in a part"), self.chunk_minutes),
            (translate("ReaderStudy", "Minutes of pause between parts"), self.pause),
            (translate("ReaderStudy", "Answer"), self.exclusive),
        )
        for label, field in rows:
            field.setAccessibleName(label)
            form.addRow(label, field)
        for option in (self.confidence, self.sequential, self.crossover):
            form.addRow(option)

    def _number(self, value: int, low: int, high: int) -> QSpinBox:
        box = QSpinBox(self)
        box.setRange(low, high)
        box.setValue(value)
        box.valueChanged.connect(self.changed)
        return box

    def _option(self, text: str) -> QCheckBox:
        box = QCheckBox(text, self)
        box.toggled.connect(self.changed)
        return box
