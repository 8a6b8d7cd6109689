"""What an import brought: one line under the list, and behind it a table with what became of every file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.core.durable import ONLY_OURS, write_file
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import ImportDone
from aicorona_desktop.core.imports import Fate, ImportCounts, ImportedFile, ImportSummary
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.finding_words import finding_text
from aicorona_desktop.ui.plain import plain, plain_tip
from aicorona_desktop.ui.worklist_words import files_counted, number_text, studies_counted

translate = QCoreApplication.translate
Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()

ORDER = (Fate.IMAGE, Fate.KNOWN, Fate.IGNORED, Fate.NOT_DICOM, Fate.DAMAGED)
"""In which order an import is told."""

KEPT = 20
"""How many imports of this session can be looked at again."""

_FILE, _FATE, _REASON, _STUDY = range(4)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class SavingError(AicoronaError):
    """The table could not be saved."""


# --- words ----------------------------------------------------------------------------------------------------


def summary_text(summary: ImportSummary) -> str:
    """Return an import in one sentence; every file is in exactly one of its numbers."""
    counts = summary.counts
    files = files_counted(counts.files)
    parts = ", ".join(text for fate in ORDER if (text := _part(fate, counts)))
    text = translate("ImportSummary", "{files}: {parts}").format(files=files, parts=parts) if parts else files
    if summary.label:
        text = translate("ImportSummary", "{source} – {text}").format(source=summary.label, text=text)
    if summary.cancelled:
        text = translate("ImportSummary", "{text}. Stopped; what was read is kept.").format(text=text)
    return f"{text}. {summary.trouble}" if summary.trouble else text


def _part(fate: Fate, counts: ImportCounts) -> str:
    count = count_of(fate, counts)
    if not count:
        return ""
    if fate is Fate.IMAGE:
        one = count == 1
        images = translate("ImportSummary", "1 image") if one else translate("ImportSummary", "%n images", "", count)
        studies = studies_counted(counts.studies)
        return translate("ImportSummary", "{images} in {studies}").format(images=images, studies=studies)
    return {
        Fate.KNOWN: translate("ImportSummary", "{count} already known"),
        Fate.IGNORED: translate("ImportSummary", "{count} with nothing to score"),
        Fate.NOT_DICOM: translate("ImportSummary", "{count} not DICOM"),
        Fate.DAMAGED: translate("ImportSummary", "{count} damaged or not readable"),
    }[fate].format(count=number_text(count))


def count_of(fate: Fate, counts: ImportCounts) -> int:
    """Return how many files came to an end."""
    return {
        Fate.IMAGE: counts.images,
        Fate.KNOWN: counts.known,
        Fate.NOT_DICOM: counts.not_dicom,
        Fate.DAMAGED: counts.damaged,
        Fate.IGNORED: counts.ignored,
    }[fate]


def fate_text(fate: Fate) -> str:
    """Return what became of a file."""
    return {
        Fate.IMAGE: translate("ImportSummary", "Taken as an image"),
        Fate.KNOWN: translate("ImportSummary", "Already known"),
        Fate.IGNORED: translate("ImportSummary", "Nothing to score"),
        Fate.NOT_DICOM: translate("ImportSummary", "Not DICOM"),
        Fate.DAMAGED: translate("ImportSummary", "Damaged or not readable"),
    }[fate]


# --- the table ------------------------------------------------------------------------------------------------


class ImportModel(QAbstractTableModel):
    """What became of every file of one import. While names are hidden, files go by their number."""

    def __init__(self, covered: bool = False, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._files: tuple[ImportedFile, ...] = ()
        self._studies: dict[str, int] = {}
        self._covered = covered

    def show(self, summary: ImportSummary) -> None:
        """Show another import."""
        self.beginResetModel()
        self._files = summary.files
        self._studies = {uid: number for number, uid in enumerate(summary.studies, start=1)}
        self.endResetModel()

    def cover(self, covered: bool) -> None:
        """Cover or show the names of files: people put patients' names into them."""
        self.beginResetModel()
        self._covered = covered
        self.endResetModel()

    def fate(self, row: int) -> Fate:
        """Return what became of a file, as its fixed key."""
        return self._files[row].fate

    def cells(self, row: int) -> tuple[str, str, str, str]:
        """Return one line of the table."""
        file = self._files[row]
        shown = translate("ImportSummary", "File {number}").format(number=row + 1) if self._covered else file.shown
        reason = "" if file.finding is None else finding_text(file.finding)
        study = self._studies.get(file.study_instance_uid)
        return shown, fate_text(file.fate), reason, "" if study is None else number_text(study)

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Return the number of files."""
        return 0 if parent.isValid() else len(self._files)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(headings())

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the headings."""
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return headings()[section] if 0 <= section < len(headings()) else None
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell; the tooltip is the cell in full."""
        if not index.isValid() or index.row() >= len(self._files):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.cells(index.row())[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self.cells(index.row())[index.column()])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ". ".join(cell for cell in self.cells(index.row())[:3] if cell)
        return None


class FateFilter(QSortFilterProxyModel):
    """Shows the files with one fate, or all."""

    def __init__(self, model: ImportModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._fate: Fate | None = None
        self.setSourceModel(model)

    def show_fate(self, fate: Fate | None) -> None:
        """Choose which files are shown."""
        self.beginResetModel()
        self._fate = fate
        self.endResetModel()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:  # noqa: ARG002 - Qt's name and signature
        """Whether a file has the fate that is chosen."""
        return self._fate is None or self._model.fate(row) is self._fate


def headings() -> tuple[str, str, str, str]:
    """Return the headings of the table."""
    return (
        translate("ImportSummary", "File"),
        translate("ImportSummary", "What became of it"),
        translate("ImportSummary", "Reason"),
        translate("ImportSummary", "Study"),
    )


def as_csv(lines: Sequence[Sequence[str]]) -> bytes:
    """Return a table as CSV in UTF-8 with its mark; no cell can be taken for a formula by a spreadsheet."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    for line in lines:
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in line])
    return stream.getvalue().encode("utf-8-sig", "replace")


def save_csv(lines: Sequence[Sequence[str]], path: Path) -> Path:
    """Write a table; raises SavingError where it cannot be written."""
    try:
        write_file(path, as_csv(lines), ONLY_OURS)
    except OSError as error:
        raise SavingError("The table could not be saved; choose a folder that can be written to.") from error
    return path


class ImportDialog(QDialog):
    """The table of the imports of this session, to look at, copy and save."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._summaries: tuple[ImportSummary, ...] = ()
        self.setWindowTitle(self.tr("What became of the files"))
        self.model = ImportModel(context.identities.covered, self)
        self.shown = FateFilter(self.model, self)
        self._source = _choice(self.tr("Import"))
        self._fate = _choice(self.tr("Which files are shown"))
        self.sentence = plain(QLabel(wordWrap=True))
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table = self._made_table()
        self._lay_out()
        self._source.currentIndexChanged.connect(self._choose_import)
        self._fate.currentIndexChanged.connect(self._choose_fate)
        context.identities.changed.connect(self._names_changed)

    def _made_table(self) -> QTableView:
        table = QTableView(self)
        table.setModel(self.shown)
        table.setAccessibleName(self.tr("Files of the import"))
        table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        table.setWordWrap(False)
        table.verticalHeader().setVisible(False)
        table.setTabKeyNavigation(False)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(_REASON, QHeaderView.ResizeMode.Stretch)
        letter = table.fontMetrics().averageCharWidth()
        for column, letters in ((_FILE, 34), (_FATE, 26), (_STUDY, 8)):
            table.setColumnWidth(column, letters * letter)
        return table

    def _lay_out(self) -> None:
        copy, save, close = (
            QPushButton(text, self) for text in (self.tr("Copy"), self.tr("Save as CSV…"), self.tr("Close"))
        )
        copy.clicked.connect(self.copy)
        save.clicked.connect(self._ask_where)
        close.clicked.connect(self.close)
        close.setDefault(True)
        choices, buttons, all_of_it = QHBoxLayout(), QHBoxLayout(), QVBoxLayout(self)
        choices.addWidget(self._source, 2)
        choices.addWidget(self._fate, 1)
        buttons.addWidget(copy)
        buttons.addWidget(save)
        buttons.addStretch()
        buttons.addWidget(close)
        for layout in (choices,):
            all_of_it.addLayout(layout)
        all_of_it.addWidget(self.sentence)
        all_of_it.addWidget(self.table)
        all_of_it.addLayout(buttons)
        letter = self.fontMetrics()
        self.resize(140 * letter.averageCharWidth(), 28 * letter.height())

    def show_imports(self, summaries: Sequence[ImportSummary]) -> None:
        """Take the imports to choose from, the newest first, and show that."""
        self._summaries = tuple(summaries)
        self._source.blockSignals(True)
        self._source.clear()
        for summary in self._summaries:
            started = summary.started_at.astimezone().strftime("%H:%M")
            self._source.addItem(f"{started}  {summary.label or files_counted(len(summary.files))}")
        self._source.blockSignals(False)
        self._choose_import(0)

    def lines(self) -> list[tuple[str, ...]]:
        """Return the table as it is shown, with its headings."""
        rows = (self.shown.mapToSource(self.shown.index(row, 0)).row() for row in range(self.shown.rowCount()))
        return [headings(), *(self.model.cells(row) for row in rows)]

    def copy(self) -> None:
        """Put the table on the clipboard, tabs between cells."""
        lines = ("\t".join(cell.replace("\t", " ") for cell in line) for line in self.lines())
        QGuiApplication.clipboard().setText("\n".join(lines))

    def save_to(self, path: Path) -> None:
        """Save the table as it is shown."""
        lines = self.lines()
        self._context.jobs.run(
            lambda: save_csv(lines, path), self._saved, self.sentence.setText, lane="files", owner=self
        )

    def _saved(self, path: Path) -> None:
        self.sentence.setText(self.tr("Saved as {name}.").format(name=path.name))

    def _ask_where(self) -> None:
        dialog = QFileDialog(self, self.tr("Save as CSV"), "", self.tr("Tables (*.csv)"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("csv")
        dialog.selectFile("import.csv")
        dialog.fileSelected.connect(lambda name: self.save_to(Path(name)))
        dialog.open()

    def _choose_import(self, at: int) -> None:
        if not 0 <= at < len(self._summaries):
            return
        summary = self._summaries[at]
        self.model.show(summary)
        self.sentence.setText(summary_text(summary))
        self._fate.blockSignals(True)
        self._fate.clear()
        self._fate.addItem(self.tr("All files"), None)
        counts = summary.counts
        for fate in ORDER:
            if count := count_of(fate, counts):
                self._fate.addItem(f"{fate_text(fate)} ({number_text(count)})", fate.value)
        self._fate.blockSignals(False)
        self._choose_fate(0)

    def _choose_fate(self, at: int) -> None:
        key = self._fate.itemData(at)
        self.shown.show_fate(None if key is None else Fate(key))

    def _names_changed(self) -> None:
        self.model.cover(self._context.identities.covered)


def _choice(name: str) -> QComboBox:
    choice = QComboBox()
    choice.setAccessibleName(name)
    return choice


# --- the line -------------------------------------------------------------------------------------------------


class ImportLine(QFrame):
    """One quiet line with what the newest import brought, until it is put away."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._context = context
        self._summaries: list[ImportSummary] = []
        self._dialog: ImportDialog | None = None
        self.text = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.more = QPushButton(self.tr("Show"))
        self.more.setToolTip(self.tr("Show what became of every file"))
        self.away = QPushButton(self.tr("Put away"), flat=True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 2, 8, 2)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.more)
        layout.addWidget(self.away)
        self.more.clicked.connect(self.show_table)
        self.away.clicked.connect(self.hide)
        context.bridge.import_done.connect(self._end)
        self.hide()

    @property
    def summaries(self) -> tuple[ImportSummary, ...]:
        """The imports of this session, the newest first."""
        return tuple(self._summaries)

    def show_table(self) -> ImportDialog:
        """Open the table behind the line."""
        if self._dialog is None:
            self._dialog = ImportDialog(self._context, self)
        self._dialog.show_imports(self._summaries)
        self._dialog.show()
        self._dialog.activateWindow()
        return self._dialog

    def _end(self, done: ImportDone) -> None:
        self._summaries.insert(0, done.summary)
        del self._summaries[KEPT:]
        self.text.setText(summary_text(done.summary))
        self.show()
