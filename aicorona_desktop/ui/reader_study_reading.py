"""The window of one reading session: case after case under codes, pauses that can't be skipped, no way around them.

It covers the program's window for as long as it is open. Everything that happens is on its way into the history at
once, so that a crash costs the seconds since the last quarter of a minute and no answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from PySide6.QtCore import QCoreApplication, QEvent, QLocale, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from aicorona_desktop.app.covered_reading import CoveredReader
from aicorona_desktop.app.reader_study import Answer, Event, Kind, Reading, Session, Standing, Step, StudyState, applied
from aicorona_desktop.app.reader_study_clock import ActiveClock
from aicorona_desktop.app.reader_study_files import EventLog
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.ui.actions import VIEWER
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.key_sheet import KeySheet
from aicorona_desktop.ui.keys import KeyRouter
from aicorona_desktop.ui.map_layer import MapState, shows_map
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.reader_study_answer import AnswerPanel
from aicorona_desktop.ui.reader_study_cover import MAP_ACTIONS, covered_context, hide_map_actions
from aicorona_desktop.ui.reader_study_pages import MessagePage, page_of
from aicorona_desktop.ui.study_facts import threshold_of
from aicorona_desktop.ui.theme import FocusRing
from aicorona_desktop.ui.viewer_place import ViewerPlace

log = logging.getLogger(__name__)
translate = QCoreApplication.translate

KEEP_EVERY_MS: Final = 15_000
SECOND_MS: Final = 1000
CLOSE_S: Final = 2.0
ACTIVITY: Final = frozenset(
    {
        *(QEvent.Type.KeyPress, QEvent.Type.Wheel, QEvent.Type.TouchUpdate),
        *(QEvent.Type.MouseMove, QEvent.Type.MouseButtonPress, QEvent.Type.HoverMove),
    }
)

Model = tuple[Triple | None, float | None]


class ReadingWindow(QWidget):
    """One reader, one session; `closed` comes when it is over or left."""

    closed = Signal()

    def __init__(
        self,
        context: Context,
        number: int,
        state: StudyState,
        reader: str,
        *,
        now_s: Callable[[], float] = time.monotonic,
        study_reader: Callable[..., CoveredReader] = CoveredReader,
    ) -> None:
        """`number` is that of the study in the history; `now_s` never goes back; `study_reader` reads the pictures."""
        super().__init__()
        self.setObjectName("reading_window")
        self.setWindowTitle(translate("ReaderStudy", "Reader study"))
        self.state = state
        self.reader = reader
        self._outer = context
        self._session = state.standing(reader, context.now()).session.number
        self._aided = state.session(reader, self._session).aided
        self._log = EventLog(context.running.history, number)
        self._case = ""
        self._model: Model | None = None
        self._failed = False
        self._clock = ActiveClock(now_s)
        self._uids = {one.code: one.study_instance_uid for one in state.design.cases}
        codes = {uid: code for code, uid in self._uids.items()}
        self._files = study_reader(
            context.running.history, lambda uid: codes.get(uid, ""), aided=self._aided, volumes=context.running.volumes
        )
        self.context = covered_context(context, codes, self._files, reader, self)
        self.viewer = ViewerPlace(self.context, self, self._files)
        self.answer = AnswerPanel(state.design, self.context.actions, aided=self._aided, parent=self)
        self.page = MessagePage(self)
        self._make_head()
        self._lay_out()
        self._connect()
        self.show_standing()

    # --- making -----------------------------------------------------------------------------------------------------

    def _make_head(self) -> None:
        self.case_label, self.progress_label = (QLabel(self, textFormat=Qt.TextFormat.PlainText) for _ in range(2))
        self.case_label.setObjectName("reading_case")
        self.progress_label.setObjectName("reading_progress")
        self.said = plain(QLabel(self))
        self.said.setObjectName("reading_said")
        self.stop = QPushButton(translate("ReaderStudy", "Stop for now"), self)
        self.stop.setObjectName("reading_stop")
        self.stop.setToolTip(translate("ReaderStudy", "Close this window; the reading goes on here the next time"))
        self.stop.clicked.connect(lambda _=False: self.close())

    def _lay_out(self) -> None:
        # The panel of the study names files, series and earlier scores: it has no place in a reading.
        self.viewer.side.removeTab(self.viewer.side.indexOf(self.viewer.panel))
        self.viewer.panel.hide()
        self.viewer.add_side_panel(self.answer, translate("ReaderStudy", "Your answer"))
        if not self._aided:
            hide_map_actions(self.context.actions)
        self.pages = QStackedWidget(self)
        self.pages.addWidget(self.page)
        self.pages.addWidget(self.viewer)
        head = QHBoxLayout()
        head.setContentsMargins(12, 6, 12, 6)
        head.addWidget(self.case_label)
        head.addSpacing(24)
        head.addWidget(self.progress_label)
        head.addStretch(1)
        head.addWidget(self.said)
        head.addSpacing(12)
        head.addWidget(self.stop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.pages, 1)
        foot = plain(QLabel(translate("ReaderStudy", "Research use. Not a diagnosis."), self))
        foot.setContentsMargins(12, 2, 12, 4)
        column.addWidget(foot)

    def _connect(self) -> None:
        self.answer.wanted.connect(self.save)
        self.page.chosen.connect(self._chosen)
        self.viewer.say.connect(self._say)
        self.viewer.slice_painted.connect(lambda _: self._clock.touch())
        self.viewer.study_step_wanted.connect(self._step)
        self.viewer.state_changed.connect(self._look_for_map)
        self.viewer.maps.changed.connect(self._look_for_map)
        self._outer.bridge.maps_ready.connect(self._maps_ready)
        actions = self.context.actions
        theme = self.context.theme
        asked: dict[str, Callable[[], object]] = {
            "viewer.verdict": lambda: self.answer.setFocus(Qt.FocusReason.ShortcutFocusReason),
            "undo": self.context.undo.undo,
            "redo": self.context.undo.redo,
            "text_larger": lambda: theme.resize_text(1),
            "text_smaller": lambda: theme.resize_text(-1),
            "text_reset": lambda: theme.resize_text(0),
            "key_sheet": lambda: KeySheet(actions, self).open(),
            "full_screen": self._switch_full_screen,
            "quit": self.close,
            "back": self.viewer.back,
        }
        for name, answer in asked.items():
            actions[name].triggered.connect(lambda _=False, answer=answer: answer())
        self.keys = KeyRouter(self, actions, lambda: VIEWER)
        self.keys.refused.connect(self._refused)
        self.ring = FocusRing(self, theme) if theme is not None else None
        if self.ring is not None:
            self.keys.by_key.connect(self.ring.set_by_key)
        self._keep_timer = QTimer(self, interval=KEEP_EVERY_MS)
        self._keep_timer.timeout.connect(self._keep_time)
        self._second_timer = QTimer(self, interval=SECOND_MS)
        self._second_timer.timeout.connect(self._second)
        self._keep_timer.start()
        self._second_timer.start()
        application = QCoreApplication.instance()
        if application is not None:
            application.installEventFilter(self)

    # --- where the reader stands ------------------------------------------------------------------------------------

    @property
    def standing(self) -> Standing:
        """Where the reader stands now."""
        return self.state.standing(self.reader, self.context.now())

    @property
    def session(self) -> Session:
        """The session of this window."""
        return self.state.session(self.reader, self._session)

    @property
    def case(self) -> str:
        """The code of the case on the screen; "" while there is none."""
        return self._case

    def show_standing(self) -> None:
        """Show what comes next: a page of words, or a case."""
        standing = self.standing
        if standing.step is Step.READS and standing.session.number == self._session:
            self._read_on(standing.session)
            return
        self._put_case_away()
        self.page.show_page(page_of(self.state, self._session, standing, self.context.now()))
        self._say_where()

    def _read_on(self, session: Session) -> None:
        if session.unanswered:
            self._show_case(session.unanswered)
            return
        case = session.order[len(session.readings)]
        if self._event(Kind.SHOWN, case):
            self._show_case(case)

    def _put_case_away(self) -> None:
        self._halt()
        self._case, self._model = "", None
        self.pages.setCurrentWidget(self.page)

    def _show_case(self, case: str) -> None:
        """Bring a case of the open part to the screen; the model's part of it where it may be seen."""
        reading = self.session.reading(case)
        if reading is None:
            return
        self._halt()
        self._case, self._model = case, None
        self._say("")
        self._files.cover(self._uids[case])
        may_see = self._aided and (reading.revealed or not self.state.design.sequential)
        self.answer.setEnabled(not may_see)
        self.answer.show_case(reading, None)
        self.pages.setCurrentWidget(self.viewer)
        self._say_where()
        if may_see:
            self._reveal(case)
        else:
            self._open_pictures(case)

    def _open_pictures(self, case: str) -> None:
        self.viewer.show_study(self._uids[case])
        self.viewer.enter()
        self._run_clock()

    # --- the model --------------------------------------------------------------------------------------------------

    def _reveal(self, case: str) -> None:
        """Read what the model said, then show the pictures with it."""
        uid, outer = self._uids[case], self._outer
        history, running, now = outer.running.history, outer.running, outer.now()

        def read() -> Model:
            result = history.result(uid)
            if result is None:
                return None, None
            if running.engine is not None and running.maps.load(result) is None:
                running.engine.request_maps(uid, again=True)
            point = threshold_of(result.score, running.pack, history.site_verification(result.score.pack_sha256), now)
            return result.score.probabilities, None if point is None else point.value

        def show(model: Model) -> None:
            if case == self._case:
                self._revealed(case, model)

        self.context.jobs.run(read, show, self._broken, lane="ledger", key="model of the case", owner=self)

    def _revealed(self, case: str, model: Model) -> None:
        reading, values = self.session.reading(case), model[0]
        if reading is None:
            return
        p_covid = None if values is None else round(values[CLASSES.index("covid")], 6)
        if not reading.revealed and not self._event(Kind.REVEALED, case, p_covid=p_covid):
            return
        self._model = model
        self._files.reveal(self._uids[case])
        self.answer.setEnabled(True)
        self.answer.show_case(self.session.reading(case) or reading, model)
        self._open_pictures(case)

    def _look_for_map(self, *_: object) -> None:
        """Note the first time that a map is on the screen."""
        reading = self.session.reading(self._case) if self._case else None
        if reading is None or not reading.revealed or reading.map_opened or not self._is_open(reading):
            return
        shown = self.viewer.state
        if shows_map(shown) and self.viewer.maps.limits(shown.map_class) is not None:
            self._event(Kind.MAP, self._case)

    def _maps_ready(self, study_instance_uid: str) -> None:
        viewer = self.viewer
        if viewer.study_instance_uid == study_instance_uid and viewer.maps.state is MapState.IMPOSSIBLE:
            viewer.maps.want()

    # --- answers ----------------------------------------------------------------------------------------------------

    def save(self, answer: Answer) -> None:
        """Keep an answer to the case on the screen, and go on."""
        case, reading = self._case, self.session.reading(self._case) if self._case else None
        if reading is None or self._failed:
            return
        self._keep_time()
        if self.state.design.sequential and self._aided and not reading.revealed:
            if self._event(Kind.FIRST, case, **answer.as_details()):
                self.answer.setEnabled(False)
                self._reveal(case)
            return
        if reading.answer != answer and not self._event(Kind.ANSWERED, case, **answer.as_details()):
            return
        self._go_on_from(case)

    def _go_on_from(self, case: str) -> None:
        """Go to the case after this one in the open part, or to what comes at its end."""
        later = [one.case for one in self.session.of_part]
        place = later.index(case) + 1
        if place < len(later):
            self._show_case(later[place])
        else:
            self.show_standing()

    def _step(self, way: str) -> None:
        """Go to the case before or after, among those of the open part that were shown."""
        cases = [one.case for one in self.session.of_part]
        if self._case not in cases or way not in ("previous", "next"):
            return
        place = cases.index(self._case) + (1 if way == "next" else -1)
        if 0 <= place < len(cases):
            self._show_case(cases[place])
        elif way == "next":
            self._say(translate("ReaderStudy", "Save your answer; the next case comes then."))
        else:
            self._say(translate("ReaderStudy", "This is the first case of this part; the parts before are closed."))

    def _chosen(self, what: str) -> None:
        """A button of a page of words was pressed."""
        match what:
            case "begin":
                early = self.page.reason.text().strip() if self.page.asks_reason else ""
                if self._event(Kind.PART_OPENED, **({"early_because": early} if early else {})):
                    self.show_standing()
            case "look_again":
                self._show_case(self.session.of_part[0].case)
            case "close_part":
                if self._event(Kind.PART_CLOSED):
                    self.show_standing()
            case _:
                self.close()

    # --- events -----------------------------------------------------------------------------------------------------

    def _event(self, kind: Kind, case: str = "", **details: Any) -> bool:
        """Let something happen and have it kept; False, with the reason told, where it may not happen now."""
        event = Event(kind, self.context.now(), self.reader, self._session, case, details)
        try:
            self.state = applied(self.state, event)
        except AicoronaError as error:
            self._say(str(error))
            return False
        self._log.add(event)
        self.context.jobs.run(self._log.write, _nothing, self._broken, lane="ledger", owner=self)
        return True

    def _broken(self, sentence: str) -> None:
        """What happens can't be kept: nothing more may happen."""
        self._failed = True
        self._put_case_away()
        self.page.show_trouble(sentence)

    # --- time -------------------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Note that something is done in this window."""
        if event.type() in ACTIVITY and isinstance(watched, QWidget) and watched.window() is self:
            self._clock.touch()
        return False

    def changeEvent(self, event: QEvent) -> None:
        """Let time stand still while another window is in front."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.ActivationChange:
            if self.isActiveWindow():
                self._run_clock()
            else:
                self._halt()

    def _run_clock(self) -> None:
        if self._case and self.isActiveWindow() and self.pages.currentWidget() is self.viewer:
            self._clock.run()

    def _halt(self) -> None:
        self._clock.halt()
        self._keep_time()

    def _keep_time(self) -> None:
        """Keep the active seconds of the case on the screen so far."""
        reading = self.session.reading(self._case) if self._case else None
        if reading is None or not self._is_open(reading):
            self._clock.take()
            return
        spent = self._clock.take()
        if spent.seconds > 0 or spent.idle_cut:
            self._event(Kind.TIME, self._case, seconds=round(spent.seconds, 3), idle_cut=spent.idle_cut)

    def _is_open(self, reading: Reading) -> bool:
        return self.session.is_open and reading.chunk == self.session.chunk

    def _second(self) -> None:
        """Count a pause down; let time run as soon as the window is in front."""
        self._run_clock()
        if self.pages.currentWidget() is self.page and not self._failed:
            self.page.update_page(page_of(self.state, self._session, self.standing, self.context.now()))

    # --- words ------------------------------------------------------------------------------------------------------

    def _say_where(self) -> None:
        session, locale = self.session, QLocale()
        help_given = (
            translate("ReaderStudy", "with the model") if self._aided else translate("ReaderStudy", "without the model")
        )
        where = translate("ReaderStudy", "Reader {reader}, session {session} of 2, {help}")
        text = where.format(reader=self.reader, session=locale.toString(session.number), help=help_given)
        self.case_label.setText(f"{self._case}   {text}" if self._case else text)
        self.progress_label.setText(self._progress() if self._case else "")
        self.stop.setVisible(bool(self._case))

    def _progress(self) -> str:
        session = self.session
        place = next((at for at, one in enumerate(session.of_part, 1) if one.case == self._case), 0)
        text = translate("ReaderStudy", "{place} of {total} in this part")
        locale = QLocale()
        return text.format(place=locale.toString(place), total=locale.toString(self.state.part_size(session)))

    def _say(self, sentence: str) -> None:
        self.said.setText(sentence)

    def _refused(self, why: str) -> None:
        hidden = {self.context.actions.why(name) for name in MAP_ACTIONS}
        if not self._aided and why in hidden:
            why = translate("ReaderStudy", "The model is not shown in this session.")
        self._say(why)

    def _switch_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    # --- the end ----------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Keep everything, end the reader process, give the program's window back."""
        application = QCoreApplication.instance()
        if application is not None:
            application.removeEventFilter(self)
        self._keep_timer.stop()
        self._second_timer.stop()
        self._halt()
        self._case = ""
        self.keys.end()
        self.viewer.leave()
        self.viewer.end()
        self.context.jobs.close(CLOSE_S)
        try:
            self._log.write()
        except AicoronaError as error:
            log.info("the end of a reading was not recorded", exc_info=error)
        super().closeEvent(event)
        self.closed.emit()


def _nothing(_: object) -> None:
    pass
