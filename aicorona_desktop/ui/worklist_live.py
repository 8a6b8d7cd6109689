"""When the list is read anew, and when a new order is drawn: never under the hand of the user."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal

from aicorona_desktop.core.rows import Lane, Row
from aicorona_desktop.triage.worklist import Worklist
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.worklist_model import WorklistModel
from aicorona_desktop.ui.worklist_pages import PAGE, SORTED_LANE, Asked, Change, PageOf, Pages, Snapshot, difference
from aicorona_desktop.ui.worklist_view import WorklistView

QUIET_S = 3.0
"""How long no key must have been pressed before the order changes by itself (ux.md 3.1)."""

LOOK_EVERY_MS = 250
REFRESH_EVERY_MS = 10_000  # waiting times, and who is overdue
LEAST_PAUSE_S = 0.15
LANE = "ledger"


@dataclass(slots=True)
class Quiet:
    """Whether the hand is off the list."""

    last_key_s: float = -1e9

    def key_pressed(self, now_s: float) -> None:
        """Note a key."""
        self.last_key_s = now_s

    def is_quiet(self, now_s: float, *, pointed_at: bool, held: bool) -> bool:
        """Whether the order may change: no pointer over the list, no button down, no key for three seconds."""
        return not pointed_at and not held and now_s - self.last_key_s >= QUIET_S


class LiveOrder(QObject):
    """Reads the list whenever something has changed and hands orders to the model at the right moment."""

    drawn = Signal()  # another order, or another look at the same one, is on the screen
    read = Signal()  # the list has been read once more, whether another order was drawn or waits
    pending_changed = Signal()  # `pending` is another change

    def __init__(
        self,
        context: Context,
        model: WorklistModel,
        view: WorklistView,
        asked: Callable[[], Asked],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(view)
        self._context = context
        self._model = model
        self._view = view
        self._asked = asked
        self._clock = clock
        self._pages = Pages(Worklist(context.reading))
        self._quiet = Quiet()
        self._waiting: Snapshot | None = None
        self.pending = Change()
        """How the order that waits differs from the one that is drawn."""
        self.is_loaded = False
        """Whether the list has been read at least once."""
        self._reading = False
        self._again = False
        self._apply_next = False
        self._paused = False
        self._is_away = False
        self._pages_missing: set[PageOf] = set()
        self._reading_page = False
        self._refresh_timer = QTimer(self, interval=REFRESH_EVERY_MS)
        self._refresh_timer.timeout.connect(self._tick)
        self._quiet_timer = QTimer(self, interval=LOOK_EVERY_MS)
        self._quiet_timer.timeout.connect(self.look)
        self._pause_timer = QTimer(self, singleShot=True)
        self._pause_timer.timeout.connect(self._pause_over)
        model.pages_wanted.connect(self._pages_wanted)
        view.touched.connect(self.key_pressed)
        context.actions.pressed.connect(self.key_pressed)
        context.bridge.studies_changed.connect(self.refresh)
        context.bridge.import_done.connect(self.refresh)

    # --- asked for -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Follow the history, and draw its present order: the list has come to the front."""
        self._is_away = False
        self._refresh_timer.start()
        self.apply()

    def leave(self) -> None:
        """Draw no other order while the list is out of sight: who comes back finds what they left, then the new."""
        self._is_away = True

    def key_pressed(self, *_: object) -> None:
        """Note that a key or a button was used: the order rests for a while."""
        self._quiet.key_pressed(self._clock())

    def refresh(self, *_: object) -> None:
        """Read the list anew; what is new is drawn when the hand is off the list."""
        if self._reading or self._paused:
            self._again = True
            return
        self._read()

    def apply(self) -> None:
        """Read the list anew and draw it at once: the user has asked for it."""
        self._apply_next = True
        self._pause_timer.stop()  # who asks doesn't wait
        self._paused = False
        self.refresh()

    def look(self) -> None:
        """Draw the order that waits, if the hand is off the list."""
        if self._waiting is not None and self._is_quiet():
            self._draw(self._waiting)

    def draw_waiting(self) -> None:
        """Draw the order that waits, whatever the hand does; for whoever looks for the next study."""
        if self._waiting is not None:
            self._draw(self._waiting)

    def _is_quiet(self) -> bool:
        held, pointed_at = self._view.is_held, self._view.is_pointed_at
        return not self._is_away and self._quiet.is_quiet(self._clock(), pointed_at=pointed_at, held=held)

    def _tick(self) -> None:
        self._model.tick()
        self.refresh()

    # --- reading the order -----------------------------------------------------------------------------------

    def _read(self) -> None:
        self._reading, self._again = True, False
        apply, self._apply_next = self._apply_next, False
        asked, now, began = self._asked(), self._context.now(), self._clock()
        pages, keep = self._pages_in_sight(asked), self._model.snapshot.number
        follow = tuple(filter(None, {self._view.anchor().spot.study_instance_uid, self._view.current_uid}))
        in_sight = self._view.visible_uids()

        def work() -> Snapshot:
            return self._pages.snapshot(asked, now, pages, follow=follow, also=in_sight, keep=keep)

        def done(snapshot: Snapshot) -> None:
            self._read_done(snapshot, began, apply=apply)

        self._context.jobs.run(work, done, self._failed, lane=LANE, owner=self)

    def _read_done(self, snapshot: Snapshot, began: float, *, apply: bool) -> None:
        self._reading = False
        if snapshot.asked == self._asked():
            self._take(snapshot, apply=apply)
        else:  # the user has asked for something else meanwhile
            self._again, self._apply_next = True, self._apply_next or apply
        # A long list is read less often: looking must not take more than a fifth of the time.
        self._paused = True
        self._pause_timer.start(int(1000 * max(LEAST_PAUSE_S, 4 * (self._clock() - began))))
        self.read.emit()
        if self._apply_next:
            self._pause_over()

    def _take(self, snapshot: Snapshot, *, apply: bool) -> None:
        is_first, self.is_loaded = not self.is_loaded, True
        self._model.renew((*snapshot.rows.values(), *snapshot.elsewhere))
        anchor = self._view.anchor().spot.study_instance_uid
        change = difference(self._model.snapshot, self._model.rows, snapshot, anchor)
        if self._model.snapshot.asked != snapshot.asked or is_first:
            self._draw(snapshot)
        elif not change:
            self._model.adopt(snapshot)
            self._wait_for(None, Change())
            self.drawn.emit()
        elif apply or not self._model.snapshot.total or self._is_quiet():
            self._draw(snapshot)
        else:
            self._wait_for(snapshot, change)

    def _draw(self, snapshot: Snapshot) -> None:
        anchor = self._view.anchor()
        self._model.show(snapshot)
        self._view.restore(anchor)
        self._wait_for(None, Change())
        self.drawn.emit()

    def _wait_for(self, snapshot: Snapshot | None, change: Change) -> None:
        self._waiting = snapshot
        if snapshot is None:
            self._quiet_timer.stop()
        elif not self._quiet_timer.isActive():
            self._quiet_timer.start()
        if change != self.pending:
            self.pending = change
            self.pending_changed.emit()

    def _pause_over(self) -> None:
        self._pause_timer.stop()
        self._paused = False
        if self._again or self._apply_next:
            self.refresh()

    def _failed(self, sentence: str) -> None:
        self._reading = False
        self._context.jobs.failed.emit(sentence)

    def _pages_in_sight(self, asked: Asked) -> frozenset[PageOf]:
        """Return the first page of every lane that is open, and the pages on the screen and right beside it."""
        if asked.sort is not None:
            pages: set[PageOf] = {(SORTED_LANE, 0)}
        else:
            same_filter = asked.wanted == self._model.snapshot.asked.wanted
            pages = {(lane, 0) for lane in Lane if not (same_filter and lane in self._model.folded)}
        if asked == self._model.snapshot.asked:
            pages |= self._near()
        return frozenset(pages)

    def _near(self) -> frozenset[PageOf]:
        """Return the pages of the lines in sight, and of a screen above and below."""
        first, last = self._view.visible_lines()
        beside = last - first + 1
        spans = self._model.lines.positions(max(0, first - beside), last + beside)
        return frozenset(
            (lane, page) for lane, span in spans for page in range(span.start // PAGE, (span.stop - 1) // PAGE + 1)
        )

    # --- reading pages ---------------------------------------------------------------------------------------

    def _pages_wanted(self, pages: frozenset[PageOf]) -> None:
        self._pages_missing |= pages
        if not self._reading_page:
            self._read_page()

    def _read_page(self) -> None:
        """Read the next missing page; those that have been scrolled past are let go."""
        near = self._near()
        for passed in self._pages_missing - near:
            self._model.refused(*passed)
        self._pages_missing &= near
        if not self._pages_missing:
            return
        page = min(self._pages_missing)
        self._pages_missing.discard(page)
        self._reading_page = True
        snapshot = self._model.snapshot

        def done(rows: tuple[Row, ...]) -> None:
            self._reading_page = False
            self._model.add_rows(snapshot.number, page[0], page[1] * PAGE, rows)
            self._read_page()

        def failed(sentence: str) -> None:
            self._reading_page = False
            self._model.refused(*page)
            self._context.jobs.failed.emit(sentence)

        self._context.jobs.run(lambda: self._pages.page(snapshot, page), done, failed, lane=LANE, owner=self)
