"""Everything that was ever recorded, in one searchable place, with the trail of each study beside it (ux.md 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QEvent, QItemSelectionModel, QModelIndex, QSize, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QRadioButton,
    QSplitter,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.history_table import write_table
from aicorona_desktop.core.events import NotDone, Verified
from aicorona_desktop.core.lanes import Policy
from aicorona_desktop.core.rows import Row
from aicorona_desktop.history.store import Filter, History
from aicorona_desktop.triage.ranking import policy_of
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.actions import HISTORY, Actions
from aicorona_desktop.ui.backups import Backups
from aicorona_desktop.ui.context import Context, Place
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.escalation_dialog import EscalationDialog
from aicorona_desktop.ui.fold import Line, Lines, wrap
from aicorona_desktop.ui.history_model import HistoryColumn, HistoryModel, HistoryPage
from aicorona_desktop.ui.jobs import cancelled
from aicorona_desktop.ui.outcome_dialog import OutcomeDialog
from aicorona_desktop.ui.recorder import Entry, recorder_of
from aicorona_desktop.ui.said_once import entry_of
from aicorona_desktop.ui.trail import Trail, TrailEntry, entries_of, read_trail
from aicorona_desktop.ui.worklist_filters import FilterBar, FlowLayout
from aicorona_desktop.ui.worklist_parts import NoteSheet

translate = QCoreApplication.translate

T = TypeVar("T")

PAGE = 200
TYPING_MS, CHANGED_MS = 150, 300
ENTRY = Qt.ItemDataRole.UserRole
SPLITTER, TABLE = "history/splitter", "history/columns"
SIDE_LETTERS, READER_LETTERS = 44, 26
NARROWEST = 960
"""No window is narrower: the lines that filters and buttons need are counted at this width."""
STUDY_ACTIONS = ("open", "outcome", "told", "note", "compare", "take_back")
WIDTHS = {
    HistoryColumn.IDENTITY: 27,
    HistoryColumn.AGE_SEX: 11,
    HistoryColumn.STUDY_TIME: 19,
    HistoryColumn.ARRIVED: 19,
    HistoryColumn.SCORE: 12,
    HistoryColumn.STATE: 19,
    HistoryColumn.READER: 16,
    HistoryColumn.OUTCOME: 14,
}
"""First widths of the columns, in letters."""


class SharingTable(QTableView):
    """A table whose columns fill it and no more, each in its share: nothing lies beside the edge."""

    _shares: Sequence[int] = ()

    def keep_shares(self) -> None:
        """Take the widths as they are for the proportions: after a first sizing, or when a person has dragged one."""
        header = self.horizontalHeader()
        self._shares = [header.sectionSize(section) for section in range(header.count())]

    def share_width(self) -> None:
        """Give the columns the width that there is, in their proportions.

        The proportions are kept apart from the widths: a table that was narrow for a moment would level them.
        """
        header, room = self.horizontalHeader(), self.viewport().width()
        least, flexible = header.minimumSectionSize(), dict(enumerate(self._shares))
        while narrow := [one for one, share in flexible.items() if share * room < least * sum(flexible.values())]:
            for section in narrow:  # what has to be wider than its share takes it from the others
                header.resizeSection(section, least)
                room -= least
                del flexible[section]
        for section, share in flexible.items():
            header.resizeSection(section, share * room // sum(flexible.values()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the new width."""
        super().resizeEvent(event)
        self.share_width()


class HistoryPlace(Place):
    """A list of all studies, newest first, and what became of the one that is chosen."""

    name = HISTORY

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(context, parent)
        self.setObjectName("history_place")
        self.trail: Trail | None = None
        self._is_read = False
        self._recorder = recorder_of(context)
        self.backups = Backups(context, self)
        self._make_filters()
        self._make_table()
        self._make_trail()
        self._lay_out()
        self._connect()
        self._show_trail(None)

    # --- place -----------------------------------------------------------------------------------------------------

    def minimumSizeHint(self) -> QSize:
        """Return what is needed in the narrowest window, not as narrow as the place could be."""
        layout = self.layout()
        if layout is None:
            return super().minimumSizeHint()
        width = layout.minimumSize().width()
        return QSize(width, layout.minimumHeightForWidth(max(width, NARROWEST)))

    def enter(self) -> None:
        """Read the list anew."""
        self.read()
        self.backups.look()

    def leave(self) -> None:
        """Remember how place and columns are divided."""
        self.context.user.remember(SPLITTER, self.splitter.saveState())
        self.context.user.remember(TABLE, self.table.horizontalHeader().saveState())

    def end(self) -> None:
        """Record what still waits for its turn."""
        self._recorder.finish()

    def back(self) -> bool:
        """Leave the search field; then clear the filters."""
        if self.filters.search.hasFocus() or self.reader.hasFocus():
            self.table.setFocus()
            return True
        if self.wanted() == Filter():
            return False
        self._clear()
        return True

    def show_study(self, study_instance_uid: str) -> None:
        """Choose a study, if it is among those read."""
        number = self.model.number_of(study_instance_uid)
        if number is not None:
            self.table.selectRow(number)

    # --- making ----------------------------------------------------------------------------------------------------

    def _make_filters(self) -> None:
        self.filters = FilterBar(self._today, self.context.person, self)
        self.filters.search.setPlaceholderText(self.tr("Search name, ID, date (Ctrl+F)"))
        self.filters.search.setAccessibleName(self.tr("Search the history"))
        self.reader = QLineEdit(self, clearButtonEnabled=True)
        self.reader.setPlaceholderText(self.tr("Read by (initials)"))
        self.reader.setAccessibleName(self.tr("Read by, initials"))
        self.with_outcome = QToolButton(self)
        self.with_outcome.setText(self.tr("With outcome"))
        self.with_outcome.setToolTip(self.tr("A test, a report or a follow-up was entered later"))
        self.with_outcome.setAccessibleName(self.tr("With outcome"))
        self.with_outcome.setAccessibleDescription(self.with_outcome.toolTip())
        self.with_outcome.setCheckable(True)
        self.count = QLabel(self)
        self.count.setObjectName("history_count")
        self.last_backup = QLabel(self, textFormat=Qt.TextFormat.PlainText)
        self.last_backup.setObjectName("last_backup")
        wrap(self.last_backup)

    def _make_table(self) -> None:
        self.model = HistoryModel(self.context, self._read_more, self)
        self.table = SharingTable(self)
        self.table.setAccessibleName(self.tr("Studies of the history, newest first"))
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.table.setShowGrid(False)
        rows = self.table.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignVCenter)
        self.table.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)

    def _make_trail(self) -> None:
        self.who = QLabel(self, textFormat=Qt.TextFormat.PlainText)
        self.who.setObjectName("trail_who")
        wrap(self.who)
        font = self.who.font()
        font.setBold(True)
        self.who.setFont(font)
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("What became of the study, oldest first"))
        self.list.setWordWrap(True)
        self.list.setSpacing(3)
        self.list.setAlternatingRowColors(True)
        self.list.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.answer = Lines("trail_answer")
        self.buttons = QWidget(self)
        flow, context_actions = FlowLayout(self.buttons), self.context.actions
        for name in STUDY_ACTIONS:
            flow.addWidget(ActionButton(context_actions, f"{HISTORY}.{name}", self.buttons))

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setContentsMargins(6, 0, 6, 6)
        line.setSpacing(6)
        line.addWidget(self.reader)
        line.addWidget(self.with_outcome)
        line.addStretch(1)
        line.addWidget(self.count)
        line.addWidget(ActionButton(self.context.actions, f"{HISTORY}.table", self))
        side = QWidget(self)
        column = QVBoxLayout(side)
        column.setContentsMargins(6, 0, 6, 6)
        for widget in (self.who, self.buttons, self.answer):
            column.addWidget(widget)
        column.addWidget(self.list, 1)
        self._side = side
        self.splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self.splitter.addWidget(self.table)
        self.splitter.addWidget(side)
        self.splitter.setStretchFactor(0, 2)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([2000, 1000])  # shares of the width, whatever it is
        self.splitter.setChildrenCollapsible(False)
        self.splitter.restoreState(self.context.user.recalled(SPLITTER))
        self._fit()
        self.table.horizontalHeader().restoreState(self.context.user.recalled(TABLE))
        foot = QHBoxLayout()
        foot.setContentsMargins(6, 2, 6, 4)
        foot.addWidget(self.last_backup, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.filters)
        layout.addLayout(line)
        layout.addWidget(self.splitter, 1)
        layout.addLayout(foot)

    def _fit(self, letter_before: int = 0) -> None:
        """Size by the letters what holds text; columns keep the proportions that the user has given them."""
        letter = self.fontMetrics().averageCharWidth()
        self.reader.setFixedWidth(READER_LETTERS * letter)
        self._side.setMinimumWidth(SIDE_LETTERS * letter)
        self.table.verticalHeader().setDefaultSectionSize(max(32, round(1.8 * self.fontMetrics().height())))
        for number, column in enumerate(HistoryColumn):
            before = self.table.columnWidth(number) * letter // letter_before if letter_before else 0
            self.table.setColumnWidth(number, before or WIDTHS[column] * letter)
        self.table.keep_shares()
        self.table.share_width()
        self._letter = letter

    def changeEvent(self, event: QEvent) -> None:
        """Grow with the text."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.FontChange and hasattr(self, "_letter"):
            self._fit(self._letter)

    def _connect(self) -> None:
        context, actions = self.context, self.context.actions
        self._typing = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._typing.timeout.connect(self.read)
        self._changed = QTimer(self, singleShot=True, interval=CHANGED_MS)
        self._changed.timeout.connect(self._renew)
        self._changed_uids: set[str] = set()
        self.filters.changed.connect(self._read_if_shown)
        self.reader.textChanged.connect(self._typing.start)
        self.with_outcome.toggled.connect(self.read)
        self.table.selectionModel().currentRowChanged.connect(self._chosen)
        self.table.activated.connect(lambda _: self._open())
        self.list.currentItemChanged.connect(self._enable)
        self.backups.told.connect(self.say)
        self.backups.kept.connect(self.last_backup.setText)
        context.bridge.studies_changed.connect(self._studies_changed)
        context.bridge.verified.connect(self._answered)
        context.bridge.not_done.connect(self._answered)
        context.identities.changed.connect(self._redraw_trail)
        context.site.changed.connect(self._redraw_trail)
        for name, act in (
            ("search", self._search),
            ("refresh", self._read_if_shown),
            (f"{HISTORY}.open", self._open),
            (f"{HISTORY}.outcome", self._ask_outcome),
            (f"{HISTORY}.told", self._ask_who_was_told),
            (f"{HISTORY}.note", self._ask_note),
            (f"{HISTORY}.compare", self._compare),
            (f"{HISTORY}.take_back", self._take_back),
            (f"{HISTORY}.table", self._ask_table),
        ):
            actions[name].triggered.connect(lambda _=False, act=act: act())

    # --- the list --------------------------------------------------------------------------------------------------

    def wanted(self) -> Filter:
        """Return which studies the user wants to see."""
        wanted = replace(self.filters.wanted(), has_outcome=self.with_outcome.isChecked())
        initials = self.reader.text().strip()
        return replace(wanted, reader=initials) if initials else wanted

    @property
    def policy(self) -> Policy:
        """The site's policy, by which model and reader differ."""
        return policy_of(self.context.site.value, self.context.running.points.threshold)

    def read(self, *_: object) -> None:
        """Read the first page of what is wanted."""
        reading, wanted, policy, now = self.context.reading, self.wanted(), self.policy, self.context.now()

        def work() -> HistoryPage:
            return read_page(reading, wanted, policy, now, None)

        self._run(work, self._show_page, "history page")

    def _read_if_shown(self) -> None:
        if self.isVisible():
            self.read()

    def _read_more(self, key: int) -> None:
        reading, wanted, policy, now = self.context.reading, self.wanted(), self.policy, self.context.now()

        def failed(sentence: str) -> None:
            self.model.forget_asking()
            self.say.emit(sentence)

        self.context.jobs.run(
            lambda: read_page(reading, wanted, policy, now, key),
            lambda page: self.model.append(key, page),
            failed,
            key="more history",
            owner=self,
        )

    def _show_page(self, page: HistoryPage) -> None:
        self._is_read = True
        before = self._uid
        self.model.show_page(page)
        self.count.setText(self._count_text(page.wanted, page.total))
        number = self.model.number_of(before)
        if number is None:
            number = 0 if page.rows else None
        if number is None:
            self._show_trail(None)
        else:
            flags = QItemSelectionModel.SelectionFlag
            index = self.model.index(number, 0)
            self.table.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)

    def _count_text(self, wanted: int, total: int) -> str:
        if self.wanted() == Filter():
            return words.studies_counted(total)
        text = self.tr("{wanted} of {studies}")
        return text.format(wanted=words.number_text(wanted), studies=words.studies_counted(total))

    def _studies_changed(self, uids: frozenset[str]) -> None:
        self._changed_uids |= uids
        if self._is_read and not self._changed.isActive():
            self._changed.start()

    def _renew(self) -> None:
        """Show the new state of studies that are in the list; the list itself keeps its order under the hand."""
        uids, self._changed_uids = self._changed_uids, set()
        shown = self.model.uids() & uids
        if uids - shown and self.isVisible() and self.table.verticalScrollBar().value() == 0:
            self.read()
        if not shown:
            return
        reading = self.context.reading

        def work() -> dict[str, Row]:
            rows = (reading.row(uid) for uid in shown)
            return {row.study_instance_uid: row for row in rows if row is not None}

        self.context.jobs.run(work, self.model.renew, self.say.emit, owner=self)
        if self._uid in shown:
            self._read_trail()

    def _clear(self) -> None:
        self.reader.clear()
        self.with_outcome.setChecked(False)
        self.filters.clear()

    def _search(self) -> None:
        if self.isVisible():
            self.filters.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.filters.search.selectAll()

    def _today(self) -> date:
        return self.context.now().astimezone().date()

    # --- the trail -------------------------------------------------------------------------------------------------

    @property
    def _row(self) -> Row | None:
        return self.model.row_at(self.table.currentIndex().row())

    @property
    def _uid(self) -> str:
        row = self._row
        return "" if row is None else row.study_instance_uid

    @property
    def entry(self) -> TrailEntry | None:
        """The entry of the trail that is chosen."""
        item = self.list.currentItem()
        found = None if item is None else item.data(ENTRY)
        return found if isinstance(found, TrailEntry) else None

    def _chosen(self, _now: QModelIndex, _before: QModelIndex) -> None:
        self.answer.show_lines(())
        if self.trail is None or self.trail.row.study_instance_uid != self._uid:
            self._show_trail(None)
        self._read_trail()

    def _read_trail(self) -> None:
        reading, uid = self.context.reading, self._uid
        if uid:
            self._run(lambda: read_trail(reading, uid), self._take_trail, "trail")

    def _take_trail(self, trail: Trail | None) -> None:
        if trail is not None and trail.row.study_instance_uid == self._uid:
            self._show_trail(trail)

    def _redraw_trail(self, *_: object) -> None:
        self._show_trail(self.trail)

    def _show_trail(self, trail: Trail | None) -> None:
        place = self.list.currentRow() if trail is not None and self.trail is not None else -1
        self.trail = trail
        self.list.clear()
        self.who.setText("" if trail is None else self._who(trail.row))
        if trail is not None:
            if trail.trouble:
                self.answer.show_lines((Line(trail.trouble, strong=True),))
            for entry in entries_of(trail, covered=self.model.is_covered(trail.row)):
                item = QListWidgetItem(entry.shown, self.list)
                item.setData(ENTRY, entry)
            self.list.setCurrentRow(min(place, self.list.count() - 1))
        self._enable()

    def _who(self, row: Row) -> str:
        identity = self.context.identity(row)
        parts = (words.identity_text(identity), words.age_sex_text(row), words.study_time_text(row))
        return ", ".join(part for part in parts if part)

    def _enable(self, *_: object) -> None:
        why = "" if self.trail is not None else self.tr("Choose a study first.")
        read_only = "" if self.context.writable else self.tr("This copy of the program is for reading only.")
        entry = self.entry
        no_entry = (
            "" if entry is not None and entry.can_be_taken_back else self.tr("Choose an entry of a person first.")
        )
        unscored = "" if self.trail is not None and self.trail.results else self.tr("There is no score yet.")
        reasons = {
            "open": why,
            "outcome": why or read_only,
            "told": why or read_only,
            "note": why or read_only,
            "compare": why or read_only or unscored,
            "take_back": why or read_only or no_entry,
        }
        for name, reason in reasons.items():
            if reason:
                self.context.actions.disable(f"{HISTORY}.{name}", reason)
            else:
                self.context.actions.enable(f"{HISTORY}.{name}")

    # --- what a person asks for ------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._uid:
            self.open_study.emit(self._uid)

    def _ask_outcome(self) -> None:
        if self.trail is None:
            return
        uid = self.trail.row.study_instance_uid
        dialog = OutcomeDialog(self.context.person(), self._who(self.trail.row), self._today(), self)
        dialog.accepted.connect(
            lambda: self._recorder.record(self.tr("Enter outcome"), dialog.entry(self.context, uid))
        )
        self._show_sheet(dialog)

    def _ask_who_was_told(self) -> None:
        if self.trail is None:
            return
        uid = self.trail.row.study_instance_uid
        dialog = EscalationDialog(self.context.person(), self._who(self.trail.row), self)
        dialog.accepted.connect(lambda: self._recorder.record(self.tr("Who was told"), dialog.entry(self.context, uid)))
        self._show_sheet(dialog)

    def _ask_note(self) -> None:
        if self.trail is None:
            return
        uid, history, person = self.trail.row.study_instance_uid, self.context.running.history, self.context.person()
        sheet = NoteSheet(self.trail.row.note, self)

        def save() -> None:
            text = sheet.note
            entry = Entry(
                uid,
                lambda: history.add_note(uid, text, person),
                lambda number: history.take_back_note(number, person),
            )
            self._recorder.record(self.tr("Note"), entry)

        sheet.accepted.connect(save)
        self._show_sheet(sheet)

    def _take_back(self) -> None:
        entry = self.entry
        if entry is None or not entry.can_be_taken_back:
            return
        engine = self.context.running.engine
        settle = _nothing if engine is None else engine.settle_identity
        said = entry_of(entry, self._uid, self.context.running.history, self.context.person(), settle)
        if said is not None:
            self._recorder.take_back(self.tr("Take back: {what}").format(what=entry.title), said)

    def _compare(self) -> None:
        """Compute the score again: with its own pack and compare slice by slice, else with the pack of now."""
        engine, trail = self.context.running.engine, self.trail
        if engine is None or trail is None or not trail.results:
            return
        uid, by = trail.row.study_instance_uid, self.context.person()
        stands = next((one for one in trail.results if not one.superseded), None)
        if stands is not None and stands.score.pack_sha256 == self.context.running.pack.sha256:
            engine.request_verification(uid)
            self.answer.show_lines((Line(self.tr("The score is being computed again, to compare.")),))
        else:
            engine.score_again(uid, by=by)
            text = self.tr("Another model pack is in use now: the study is scored with it, and both scores are kept.")
            self.answer.show_lines((Line(text),))

    def _answered(self, told: Verified | NotDone) -> None:
        if told.study_instance_uid == self._uid:
            self.answer.show_lines((Line(told.sentence, self.tr("Scored again")),))

    def _show_sheet(self, sheet: Sheet) -> None:
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()

    # --- the table as a file ---------------------------------------------------------------------------------------

    def _ask_table(self) -> None:
        sheet = TableSheet(self.count.text(), self)
        sheet.accepted.connect(lambda: self._ask_file(with_identity=sheet.with_identity))
        self._show_sheet(sheet)

    def _ask_file(self, *, with_identity: bool) -> None:
        name = f"aicorona-history-{self._today().isoformat()}.csv"
        kinds = self.tr("Table (*.csv)")
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Save as table"), name, kinds)
        if path:
            self.save_table(Path(path), with_identity=with_identity)

    def save_table(self, path: Path, *, with_identity: bool = False) -> None:
        """Write the studies of the list, all of them, to a file."""
        reading, wanted, policy, now = self.context.reading, self.wanted(), self.policy, self.context.now()
        identities = self.context.identities

        def code(row: Row) -> str:
            return identities.code(row.patient_id or row.study_instance_uid)

        def work() -> int | None:
            return write_table(
                reading,
                path,
                wanted=wanted,
                policy=policy,
                now=now,
                code=code,
                with_identity=with_identity,
                stopped=cancelled,
            )

        self.say.emit(self.tr("The table is being written."))
        self.context.jobs.run(work, partial(self._table_saved, path), self.say.emit, lane="export", owner=self)

    def _table_saved(self, path: Path, count: int | None) -> None:
        if count is not None:
            text = self.tr("{studies} are in “{name}”.")
            self.say.emit(text.format(studies=words.studies_counted(count), name=path.name))

    def _run(self, work: Callable[[], T], done: Callable[[T], None], key: str) -> None:
        self.context.jobs.run(work, done, self.say.emit, key=key, owner=self)


class ActionButton(QToolButton):
    """A button for an action of the program, with its words, without its key in the text; greyed, it says why."""

    def __init__(self, actions: Actions, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name.replace(".", "_"))
        self._actions, self._name = actions, name
        self.clicked.connect(actions[name].trigger)
        actions[name].changed.connect(self._tell)
        self._tell()

    def _tell(self) -> None:
        self.setText(self._actions.text(self._name))
        self.setAccessibleName(self._actions.text(self._name).rstrip("…"))
        self.setToolTip(self._actions.tooltip(self._name))
        self.setEnabled(self._actions[self._name].isEnabled())


class TableSheet(Sheet):
    """Asks whether the table shall name patients; without is chosen, and says what that means."""

    def __init__(self, count: str, parent: QWidget | None = None) -> None:
        super().__init__(translate("TableSheet", "Save as table"), parent, (64, 14))
        self.add_heading(self.tr("Save {studies} as table").format(studies=count))
        self.without = QRadioButton(self.tr("Without identity: a code, age, sex and times"), self)
        self.with_names = QRadioButton(self.tr("With names, numbers, birth dates and notes"), self)
        group = QButtonGroup(self)
        for button in (self.without, self.with_names):
            group.addButton(button)
            self.body.addWidget(button)
        self.without.setChecked(True)
        self.body.addStretch(1)
        box = QDialogButtonBox(self)
        box.addButton(self.tr("Choose a file…"), QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.tr("Do not save"), QDialogButtonBox.ButtonRole.RejectRole)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.body.addWidget(box)

    @property
    def with_identity(self) -> bool:
        """Whether names shall be in the table."""
        return self.with_names.isChecked()


def read_page(history: History, wanted: Filter, policy: Policy, now: datetime, after: int | None) -> HistoryPage:
    """Return the next rows of the history; how many are wanted is counted for the first page only.

    Raises:
        HistoryError: the history can't be read.
    """
    with history.at_one_moment():
        page = history.page(after, PAGE, wanted, now=now, policy=policy)
        if after is not None:
            return HistoryPage(page.rows, page.next_key, 0, 0)
        counts = history.lane_counts(now, policy, wanted)
    removed = counts.removed if wanted == Filter() else 0
    return HistoryPage(page.rows, page.next_key, counts.wanted + removed, counts.total + counts.removed)


def _nothing(_study_instance_uid: str) -> None:
    """Without an engine nothing is looked at anew."""
