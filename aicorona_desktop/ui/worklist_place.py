"""The worklist as a place of the window: search and filters, the list, what it says while empty, the quick look."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QPoint, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QPushButton, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from aicorona_desktop.core.events import Verified, WatchState
from aicorona_desktop.core.rows import Lane
from aicorona_desktop.history.store import Column as SortColumn
from aicorona_desktop.triage.ranking import policy_of
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.actions import HISTORY, WORKLIST
from aicorona_desktop.ui.context import Context, Place
from aicorona_desktop.ui.identity_dialogs import ask_identity, ask_name
from aicorona_desktop.ui.import_summary import ImportLine
from aicorona_desktop.ui.menus import TellingMenu
from aicorona_desktop.ui.quick_look import QuickLook
from aicorona_desktop.ui.recorder import Entry, recorder_of
from aicorona_desktop.ui.study_words import has_identity_to_choose, has_version_to_choose
from aicorona_desktop.ui.version_dialog import ask_version
from aicorona_desktop.ui.worklist_filters import FilterBar
from aicorona_desktop.ui.worklist_lines import Kind
from aicorona_desktop.ui.worklist_live import LiveOrder
from aicorona_desktop.ui.worklist_model import COLUMNS, FOLDED_AT_FIRST, WorklistModel
from aicorona_desktop.ui.worklist_pages import Asked, Change, Sort
from aicorona_desktop.ui.worklist_parts import Banner, EmptyState, NoteSheet, NothingFound
from aicorona_desktop.ui.worklist_view import Spot, WorklistView
from aicorona_desktop.ui.worklist_words import Column

if TYPE_CHECKING:
    from aicorona_desktop.triage.engine import Engine

FEW_UNREAD = 3
"""With so few studies the order makes little difference (ux.md 3.1)."""

SORTED_BY = {
    Column.IDENTITY: SortColumn.NAME,
    Column.AGE_SEX: SortColumn.AGE,
    Column.STUDY_TIME: SortColumn.STUDY_TIME,
    Column.WAITING: SortColumn.WAITING,
    Column.SCORE: SortColumn.SCORE,
    Column.STATE: SortColumn.STATE,
    Column.SERIES: SortColumn.SERIES,
    Column.READER: SortColumn.READER,
}

WRITING = (
    *("pin", "score_again", "score_now", "note"),
    *("choose_identity", "choose_version", "read_name", "remove"),
)
"""The actions on a study that record something."""
ALWAYS_SHOWN = (Column.MARK, Column.IDENTITY, Column.SCORE, Column.STATE)
FOLDED = "folded"  # stands before the lanes, so that none folded is not nothing remembered
SAVE_AFTER_MS = 400


class WorklistPlace(Place):
    """Where the day begins: what to look at first, and why."""

    name = WORKLIST

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(context, parent)
        self._sort: Sort | None = None
        self._sought = ""
        self._recorder = recorder_of(context)
        self.model = WorklistModel(context.identity, context.now, self)
        self.view = WorklistView(self.model, lambda: context.theme.theme)
        self.filters = FilterBar(lambda: context.now().astimezone().date(), context.person)
        self.live = LiveOrder(context, self.model, self.view, self.asked)
        self.banner = Banner()
        self.pill = QPushButton(self.view.viewport())
        self.empty = EmptyState(context)
        self.nothing_found = NothingFound()
        self.stack = QStackedWidget()
        self.quick_look = QuickLook(context)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.import_line = ImportLine(context)
        self._saving = QTimer(self, singleShot=True, interval=SAVE_AFTER_MS)
        self._saving.timeout.connect(self.save_layout)
        self._lay_out()
        self._connect()
        self._connect_actions()
        self._settings_changed()
        self._restore_layout()
        self._show_state()

    # --- building --------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.stack.addWidget(self.view)
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.nothing_found)
        self.splitter.addWidget(self.stack)
        self.splitter.addWidget(self.quick_look)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setChildrenCollapsible(False)
        self.quick_look.hide()
        self.pill.setObjectName("orderPill")
        self.pill.setCursor(Qt.CursorShape.PointingHandCursor)
        self.pill.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self.filters, self.banner):
            layout.addWidget(widget)
        layout.addWidget(self.splitter, 1)
        layout.addWidget(self.import_line)
        self.setFocusProxy(self.view)

    def _connect(self) -> None:
        context = self.context
        self.filters.changed.connect(self._asked_for_other)
        self.live.drawn.connect(self._show_state)
        self.live.pending_changed.connect(self._show_pill)
        self.pill.clicked.connect(self.live.apply)
        self.view.study_opened.connect(self.open_study)
        self.view.study_current.connect(self._current_changed)
        self.view.lane_toggled.connect(self._toggle_lane)
        self.view.row_toggled.connect(self._toggle_row)
        self.view.menu_wanted.connect(self._show_menu)
        header = self.view.horizontalHeader()
        header.sectionClicked.connect(self._sort_by)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._show_columns_menu)
        header.sectionResized.connect(self._saving.start)
        header.sectionMoved.connect(self._saving.start)
        self.splitter.splitterMoved.connect(self._saving.start)
        self.banner.acted.connect(self._return_to_priority)
        self.banner.removed_asked.connect(lambda: self.show_place.emit(HISTORY))
        self.nothing_found.clear_wanted.connect(self.filters.clear)
        self.quick_look.open_wanted.connect(self.open_study)
        self.quick_look.closed.connect(lambda: self.show_quick_look(False))
        context.identities.changed.connect(self.model.renamed)
        context.theme.changed.connect(self.view.viewport().update)
        context.site.changed.connect(self._settings_changed)
        context.user.changed.connect(self._settings_changed)
        context.bridge.sources_changed.connect(self._show_state)
        context.bridge.verified.connect(self._verified)
        self._recorder.refused.connect(lambda _, sentence: self._refused(sentence))

    def _connect_actions(self) -> None:
        here: dict[str, Callable[[], object]] = {
            "up": lambda: self.view.step(-1),
            "down": lambda: self.view.step(1),
            "page_up": lambda: self.view.page(-1),
            "page_down": lambda: self.view.page(1),
            "first": lambda: self.view.to_end(False),
            "last": lambda: self.view.to_end(True),
            "open": self._open_current,
            "quick_look": lambda: self.show_quick_look(not self.quick_look.isVisible()),
            "unfold": lambda: self._fold_current(False),
            "fold": lambda: self._fold_current(True),
            "next_unread": lambda: self._go_to_unread(1),
            "previous_unread": lambda: self._go_to_unread(-1),
            "pin": self._pin,
            "score_again": self._score_again,
            "score_now": self._score_now,
            "note": self._note,
            "choose_identity": self._choose_identity,
            "choose_version": self._choose_version,
            "read_name": self._read_name,
            "remove": self._remove,
            "copy_row": self._copy,
        }
        actions = self.context.actions
        for name, do in here.items():
            actions[f"{WORKLIST}.{name}"].triggered.connect(lambda _=False, do=do: do())
        actions["search"].triggered.connect(self._search)
        actions["refresh"].triggered.connect(self._apply_if_shown)
        actions["lock"].triggered.connect(self._return_to_priority)
        actions["restore_layout"].triggered.connect(self.reset_layout)
        if not self.context.writable:
            why = self.tr("Another copy of the program has the history open. This one is for reading only.")
            for name in (
                "pin",
                "score_again",
                "score_now",
                "note",
                "choose_identity",
                "choose_version",
                "read_name",
                "remove",
            ):
                actions.disable(f"{WORKLIST}.{name}", why)

    # --- coming and going ------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Draw the present order: what was saved elsewhere moves now."""
        self.filters.refresh_person()
        self.live.start()
        if self.quick_look.isVisible():
            self.quick_look.show_row(self.view.current_row())
        self.view.setFocus()

    def leave(self) -> None:
        """Draw no other order until the place is entered again; the process of the quick look ends."""
        self.live.leave()
        self.quick_look.finish()
        self.save_layout()

    def back(self) -> bool:
        """Go one step back: out of the search field, the quick look, the sorting, the filters."""
        if self.filters.search.hasFocus():
            self.view.setFocus()
            return True
        if self.quick_look.isVisible():
            self.show_quick_look(False)
            return True
        if self._sort is not None:
            self._return_to_priority()
            return True
        if self.filters.is_on:
            self.filters.clear()
            return True
        return False

    def asked(self) -> Asked:
        """Return what the list shall show."""
        policy = policy_of(self.context.site.value, self.context.running.points.threshold)
        return Asked(policy, self.filters.wanted(), self._sort)

    # --- for the viewer --------------------------------------------------------------------------------------

    def neighbour(self, study_instance_uid: str, by: int) -> str:
        """Return the study that stands next to one in the order of the list; "" at its ends."""
        number = self.model.line_of(study_instance_uid)
        if number is None:
            return ""
        number += by
        while (line := self.model.line(number)) is not None:
            row = self.model.row_at(number)
            if line.kind is Kind.STUDY and row is not None:
                return row.study_instance_uid
            number += by
        return ""

    def next_unread(self, study_instance_uid: str) -> str:
        """Return the next unread study after one; when there is none below, the first one of the newest order."""
        number = self.view.unread_line(self.model.line_of(study_instance_uid), 1)
        if number is None:
            self.live.draw_waiting()
            number = self.view.unread_line(None, 1)
        row = None if number is None else self.model.row_at(number)
        return "" if row is None or row.study_instance_uid == study_instance_uid else row.study_instance_uid

    def go_to(self, study_instance_uid: str) -> None:
        """Make a study the current one and bring it into sight, as when it was opened from elsewhere."""
        if not self.view.go_to(Spot(study_instance_uid=study_instance_uid)):
            self._sought = study_instance_uid  # its page comes with the next order that is drawn
            self.live.apply()

    # --- what is shown ---------------------------------------------------------------------------------------

    def _show_state(self) -> None:
        if self._sought and self.view.go_to(Spot(study_instance_uid=self._sought)):
            self._sought = ""
        tally, wanted = self.model.snapshot.tally, self.filters.is_on
        nothing_there = self.live.is_loaded and not tally.total and not tally.removed
        if nothing_there:
            self.stack.setCurrentWidget(self.empty)
        elif wanted and self.live.is_loaded and not self.model.snapshot.total:
            self.nothing_found.show_filter(tally.total, self.filters.search.text().strip(), self.filters.has_only_text)
            self.stack.setCurrentWidget(self.nothing_found)
        else:
            self.stack.setCurrentWidget(self.view)
        self._show_banner()
        self._show_pill()
        if self.quick_look.isVisible():
            self.quick_look.show_row(self.view.current_row())

    def _show_banner(self) -> None:
        tally = self.model.snapshot.tally
        self.banner.count_removed(tally.removed)
        if not self.live.is_loaded or not tally.total:
            self.banner.say("")
        elif self._sort is not None:
            column = next(one for one, other in SORTED_BY.items() if other is self._sort.column)
            text = self.tr("Sorted by {column}.").format(column=words.sorting_name(column))
            self.banner.say(text, self.tr("Return to priority order"))
        elif self.filters.is_on:
            shown, total = words.number_text(self.model.snapshot.total), words.studies_counted(tally.total)
            self.banner.say(self.tr("{shown} of {total} shown.").format(shown=shown, total=total))
        elif not tally.unread:
            self.banner.say(self._all_read())
        elif tally.unread <= FEW_UNREAD:
            self.banner.say(self.tr("Order makes little difference now."))
        else:
            self.banner.say("")

    def _all_read(self) -> str:
        today = words.number_text(self.model.snapshot.tally.read_today)
        watched = words.folders_counted(self._folders_watched())
        text = self.tr("All studies are read. {today} today. Watching {folders}.")
        return text.format(today=today, folders=watched)

    def _folders_watched(self) -> int:
        engine = self._engine
        return 0 if engine is None else sum(one.state is WatchState.WATCHING for one in engine.watching())

    def _show_pill(self) -> None:
        text = pill_text(self.live.pending)
        self.pill.setText(text)
        self.pill.setAccessibleName(self.tr("New order: {change}. Press to apply.").format(change=text))
        self.pill.setToolTip(self.tr("The order has changed; it is applied at a click, by F5, or once you rest."))
        self.pill.setVisible(bool(self.live.pending))
        self._place_pill()

    def _place_pill(self) -> None:
        self.pill.adjustSize()
        self.pill.move(max(0, (self.view.viewport().width() - self.pill.width()) // 2), 4)
        self.pill.raise_()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the pill in the middle."""
        super().resizeEvent(event)
        QTimer.singleShot(0, self, self._place_pill)

    # --- order and filters -----------------------------------------------------------------------------------

    def _asked_for_other(self) -> None:
        self.live.key_pressed()
        self.live.apply()

    def _apply_if_shown(self) -> None:
        if self.isVisible():
            self.live.apply()

    def _sort_by(self, section: int) -> None:
        column = SORTED_BY.get(COLUMNS[section])
        if column is None:
            return
        before = self._sort
        highest_first = column is SortColumn.SCORE
        again = before is not None and before.column is column
        self._sort = Sort(column, (not before.descending) if before is not None and again else highest_first)
        self._show_sorting()

    def _return_to_priority(self) -> None:
        if self._sort is not None:
            self._sort = None
            self._show_sorting()

    def _show_sorting(self) -> None:
        header = self.view.horizontalHeader()
        header.setSortIndicatorShown(self._sort is not None)
        if self._sort is not None:
            column = next(one for one, other in SORTED_BY.items() if other is self._sort.column)
            order = Qt.SortOrder.DescendingOrder if self._sort.descending else Qt.SortOrder.AscendingOrder
            header.setSortIndicator(COLUMNS.index(column), order)
        self.live.apply()

    def _search(self) -> None:
        if self.isVisible():
            self.filters.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.filters.search.selectAll()

    def _settings_changed(self, *_: object) -> None:
        site, user = self.context.site.value, self.context.user.value
        self.model.look_first = site.look_first
        self.view.lines_delegate.wait_cap = self.asked().policy.wait_cap
        self.view.set_two_lines(user.two_line_rows)
        self.filters.refresh_person()
        self.model.renamed()
        if self.live.is_loaded:
            self.live.apply()

    # --- folding ---------------------------------------------------------------------------------------------

    def _toggle_lane(self, lane: Lane) -> None:
        self._fold_lane(lane, lane not in self.model.folded)

    def _fold_lane(self, lane: Lane, folded: bool) -> None:
        self.model.fold(lane, folded)
        self.view.ask_for_rows()
        self._saving.start()

    def _toggle_row(self, uid: str) -> None:
        self.model.unfold_row(uid, not self.model.is_unfolded(uid))

    def _fold_current(self, folded: bool) -> None:
        """Fold or unfold what is current; Left on a row that is folded goes up to its lane."""
        spot = self.view.current_spot
        if spot.lane is not None:
            self._fold_lane(spot.lane, folded)
        elif spot.study_instance_uid and not folded:
            self.model.unfold_row(spot.study_instance_uid)
        elif spot.study_instance_uid and self.model.is_unfolded(spot.study_instance_uid):
            self.model.unfold_row(spot.study_instance_uid, False)
        elif place := self.model.place_of(spot.study_instance_uid):
            self.view.go_to(Spot(lane=place[0]))

    # --- what is done with a study -----------------------------------------------------------------------------

    def _open_current(self) -> None:
        spot = self.view.current_spot
        if spot.lane is not None:
            self._toggle_lane(spot.lane)
        elif spot.study_instance_uid:
            self.open_study.emit(spot.study_instance_uid)

    def _go_to_unread(self, direction: int) -> None:
        if not self.view.to_unread(direction):
            self.say.emit(self.tr("There is no other unread study in this direction."))

    def _current_changed(self, uid: str) -> None:
        if self.quick_look.isVisible():
            self.quick_look.show_row(self.model.row_of(uid))

    def show_quick_look(self, shown: bool) -> None:
        """Show or hide the quick look beside the list."""
        self.quick_look.setVisible(shown)
        if shown:
            self.quick_look.show_row(self.view.current_row())
        else:
            self.quick_look.finish()
            self.view.setFocus()
        self._saving.start()

    def _pin(self) -> None:
        row = self.view.current_row()
        if row is None:
            return
        history, person, uid = self.context.running.history, self.context.person(), row.study_instance_uid
        text = self.tr("Unpin") if row.pinned else self.tr("Pin to Needs a person")
        pinned = not row.pinned
        self._record(
            text,
            uid,
            lambda: history.pin(uid, person, pinned=pinned),
            lambda: history.pin(uid, person, pinned=not pinned),
        )

    def _remove(self) -> None:
        row = self.view.current_row()
        if row is None:
            return
        history, person, uid = self.context.running.history, self.context.person(), row.study_instance_uid
        after = self.neighbour(uid, 1) or self.neighbour(uid, -1)

        def removed(*, stands: bool) -> None:
            if not stands:
                self.go_to(uid)
            elif self.view.current_uid == uid and after:
                self.go_to(after)
            self.live.apply()
            if stands:
                self.say.emit(self.tr("The study is off the list. Its files stay; Ctrl+Z puts it back."))

        self._record(
            self.tr("Remove from list"),
            uid,
            lambda: history.remove(uid, person),
            lambda: history.put_back(uid, person),
            removed,
        )

    def _note(self) -> None:
        row = self.view.current_row()
        if row is None:
            return
        sheet, uid = NoteSheet(row.note, self), row.study_instance_uid
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.accepted.connect(lambda: self.save_note(uid, sheet.note))
        sheet.open()

    def save_note(self, uid: str, text: str) -> None:
        """Record a note on a study; it can be taken back."""
        history, person = self.context.running.history, self.context.person()
        entry = Entry(
            uid, lambda: history.add_note(uid, text, person), lambda number: history.take_back_note(number, person)
        )
        self._recorder.record(self.tr("Note"), entry)

    def _choose_identity(self) -> None:
        row = self.view.current_row()
        if row is not None and not has_identity_to_choose(row):
            self.say.emit(self.tr("The files of this study name one patient only."))
        elif row is not None:
            ask_identity(self.context, row, self, self.say.emit)

    def _choose_version(self) -> None:
        row = self.view.current_row()
        if row is not None and not has_version_to_choose(row):
            self.say.emit(self.tr("Every image of this study has one version only."))
        elif row is not None:
            ask_version(self.context, row, self, self.say.emit)

    def _read_name(self) -> None:
        row = self.view.current_row()
        if row is not None:
            ask_name(self.context, row, self, self.say.emit)

    def _record(
        self,
        text: str,
        uid: str,
        do: Callable[[], None],
        undo: Callable[[], None],
        then: Callable[..., None] | None = None,
    ) -> None:
        """Record what has no number of its own in the history, so that it can be taken back."""

        def done() -> int:
            do()
            return 1

        self._recorder.record(text, Entry(uid, done, lambda _: undo(), then=then))

    def _refused(self, sentence: str) -> None:
        if self.isVisible():
            self.say.emit(sentence)

    @property
    def _engine(self) -> Engine | None:
        return self.context.running.engine

    def _score_again(self) -> None:
        row, engine = self.view.current_row(), self._engine
        if row is None or engine is None:
            return
        if words.score_of(row) is not None and not row.preliminary:
            engine.request_verification(row.study_instance_uid)
            self.say.emit(self.tr("The study is being scored again, to compare."))
        else:
            engine.score_again(row.study_instance_uid, by=self.context.person())
            self.say.emit(self.tr("The study is being scored again."))

    def _score_now(self) -> None:
        row, engine = self.view.current_row(), self._engine
        if row is not None and engine is not None:
            engine.score_now(row.study_instance_uid)

    def _verified(self, event: Verified) -> None:
        if self.isVisible():
            self.say.emit(event.sentence)

    def _copy(self) -> None:
        row = self.view.current_row()
        if row is not None:
            text = words.copied(row, self.context.now(), covered=self.model.is_covered(row))
            QGuiApplication.clipboard().setText(text)
            self.say.emit(self.tr("The row was copied without the patient's identity."))

    # --- menus -----------------------------------------------------------------------------------------------

    def _show_menu(self, uid: str, point: QPoint) -> None:
        self.go_to(uid)
        row = self.model.row_of(uid)
        if row is None:
            return
        menu = TellingMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        names = ["open", "quick_look", "fold" if self.model.is_unfolded(uid) else "unfold", "", "pin", "note"]
        names += ["choose_identity"] if has_identity_to_choose(row) else []
        names += ["choose_version"] if has_version_to_choose(row) else []
        names += ["read_name", "score_now"] if words.is_in_work(row) else ["read_name"]
        names += ["score_again", "", "copy_row", "remove"]
        for name in names:
            if name:
                menu.addAction(self.context.actions[f"{WORKLIST}.{name}"])
            else:
                menu.addSeparator()
        menu.popup(point)

    def _show_columns_menu(self, point: QPoint) -> None:
        menu = TellingMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for number, column in enumerate(COLUMNS):
            if column not in ALWAYS_SHOWN:
                action = menu.addAction(words.column_name(column))
                action.setCheckable(True)
                action.setChecked(not self.view.isColumnHidden(number))
                action.toggled.connect(lambda shown, column=column: self._show_column(column, shown))
        menu.addSeparator()
        menu.addAction(self.tr("Restore columns")).triggered.connect(self._reset_columns)
        menu.popup(self.view.horizontalHeader().mapToGlobal(point))

    def _show_column(self, column: Column, shown: bool) -> None:
        self.view.show_column(column, shown)
        self._saving.start()

    def _reset_columns(self) -> None:
        self.view.reset_columns()
        self._saving.start()

    # --- what is remembered ----------------------------------------------------------------------------------

    def save_layout(self) -> None:
        """Keep columns, folds and the quick look as they are."""
        self._saving.stop()
        remember = self.context.user.remember
        remember("worklist/columns", self.view.columns_state())
        remember("worklist/folded", QByteArray(",".join((FOLDED, *sorted(self.model.kept_folds))).encode()))
        remember("worklist/quick_look", QByteArray(b"" if self.quick_look.isHidden() else b"shown"))
        remember("worklist/splitter", self.splitter.saveState())

    def _restore_layout(self) -> None:
        recalled = self.context.user.recalled
        folded = bytes(recalled("worklist/folded").data()).decode("ascii", "replace").split(",")
        if FOLDED in folded:
            for lane in Lane:
                self.model.fold(lane, lane.value in folded)
        self.view.restore_columns(recalled("worklist/columns"))
        self.splitter.restoreState(recalled("worklist/splitter"))
        self.quick_look.setVisible(recalled("worklist/quick_look") == b"shown")

    def end(self) -> None:
        """Record what still waits for its turn."""
        self._recorder.finish()

    def reset_layout(self) -> None:
        """Put columns, folds and the quick look back as they were at first."""
        self.view.reset_columns()
        for lane in Lane:
            self.model.fold(lane, lane in FOLDED_AT_FIRST)
        self.show_quick_look(False)


def pill_text(change: Change) -> str:
    """Return what the pill says of an order that waits."""
    translate = words.translate
    new, above = words.number_text(change.new), words.number_text(change.above)
    if change.new and change.above:
        return translate("Worklist", "{new} new, {above} above").format(new=new, above=above)
    if change.new:
        return translate("Worklist", "{new} new").format(new=new)
    if change.above:
        return translate("Worklist", "{above} above").format(above=above)
    return translate("Worklist", "Order changed") if change else ""
