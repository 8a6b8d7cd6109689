"""The viewer: one state, the pictures that draw it, and what keys, mouse, strip and lists make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QCoreApplication, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QLabel, QPushButton, QSplitter, QStackedWidget, QTabWidget, QVBoxLayout, QWidget

from aicorona_desktop.app.viewing import FirstLook, StudyReader, ViewedSeries, ViewedStudy
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import Row
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.core.study import Series
from aicorona_desktop.imaging.roi import Point
from aicorona_desktop.ui import actions as action_names
from aicorona_desktop.ui import viewer_state as states
from aicorona_desktop.ui.charts import preload
from aicorona_desktop.ui.context import Context, Place
from aicorona_desktop.ui.jobs import cancelled
from aicorona_desktop.ui.keys import PLACE_KEYS
from aicorona_desktop.ui.map_layer import MapKeys, MapLayer, shows_map
from aicorona_desktop.ui.measures import Histogram, Measure, MeasureBook
from aicorona_desktop.ui.panes import ImagePane
from aicorona_desktop.ui.presets import KEYS, MODEL, presets, window_of, with_key
from aicorona_desktop.ui.prior_beside import PriorBeside
from aicorona_desktop.ui.priors import earlier_studies
from aicorona_desktop.ui.reformats import Plane, ReformatView, middle
from aicorona_desktop.ui.series_list import SeriesList
from aicorona_desktop.ui.slice_store import Shelf, SliceStore, hand_over, place_after
from aicorona_desktop.ui.slice_strip import content_of
from aicorona_desktop.ui.slice_view import Person, SliceView
from aicorona_desktop.ui.study_panel import StudyPanel
from aicorona_desktop.ui.viewer_commands import CHANGES, STUDY_STEPS, WINDOW_STEPS, Change, WindowStep
from aicorona_desktop.ui.viewer_input import ViewerMouse
from aicorona_desktop.ui.viewer_pictures import Around, Pictures
from aicorona_desktop.ui.viewer_state import Layout, Tool, ViewerState
from aicorona_desktop.ui.viewer_tools import KEYED_TOOLS, LAYOUTS, ViewerTools, corner_text_of
from aicorona_desktop.ui.viewing_log import ViewingLog
from aicorona_desktop.ui.worklist_words import is_covered

translate = QCoreApplication.translate

STRIP_EVERY_MS, REFORMATS_EVERY_MS, REFRESH_AFTER_MS = 60, 150, 400
SPLITTER = "viewer/splitter"


class ViewerPlace(Place):
    """Shows one study at a time; `state` is all that it shows of it, `set_state` shows something else."""

    name = action_names.VIEWER

    state_changed = Signal(object)  # ViewerState
    study_coming = Signal(str)  # Study Instance UID: it is being opened
    study_shown = Signal(object)  # ViewedStudy
    slice_painted = Signal(int)  # the slice of the main picture that stands on the screen now
    study_step_wanted = Signal(str)  # previous, next or next_unread, in the order of the list
    ending = Signal()  # the window closes: what is not on the disk must go there

    def __init__(self, context: Context, parent: QWidget | None = None, reader: StudyReader | None = None) -> None:
        """`reader` reads the files; by default one with a process of its own, which `end` ends."""
        super().__init__(context, parent)
        self.setObjectName("viewer_place")
        self.reader = reader or StudyReader(volumes=context.running.volumes)
        self.state = ViewerState()
        self.viewed: ViewedStudy | None = None
        self.book = MeasureBook(context, self)
        self.maps = MapLayer(context, self)
        self._shelf = Shelf()
        self._store: SliceStore | None = None
        self._priors: tuple[Row, ...] = ()
        self._uid = ""
        self._person = Person()
        self._sketch: Measure | None = None
        self._map_was_on = False
        self._log = ViewingLog(context, self)
        self._make_widgets()
        self.prior = PriorBeside(context, self.reader, self._shelf, self.beside, self)
        self.mouse = ViewerMouse(self, context.user.value, self)
        self._map_keys = MapKeys(context, self, self.maps, lambda: self.series)
        self.panel = StudyPanel(context, self.maps, self)
        self.add_side_panel(self.panel, translate("ViewerPlace", "Score"))
        self._connect_widgets()
        self._connect_actions()
        self._connect_context()
        self.state = self._settled(self.state)
        self.tools.offer_presets(presets(context.user.value.presets))
        self.tools.follow(self.state)

    # --- what others ask for ---

    @property
    def series(self) -> ViewedSeries | None:
        """The series on the screen."""
        return None if self._store is None else self._store.series

    @property
    def study_instance_uid(self) -> str:
        """The study on the screen, or coming to it; "" where there is none."""
        return self._uid

    @property
    def main(self) -> SliceView:
        """The first picture."""
        return self.pictures.main

    @property
    def beside(self) -> SliceView:
        """The second picture: the map, or another study."""
        return self.pictures.beside

    @property
    def slices_seen(self) -> float | None:
        """The share of slices that have been on the screen since the study was opened; None before the first."""
        return self._log.share

    def show_study(self, study_instance_uid: str) -> None:
        """Show a study from the start: the scored series, its middle, lung window, map off."""
        if study_instance_uid != self._uid:
            self._leave_study()
            self._uid = study_instance_uid
            self._log.opened(study_instance_uid)
            self.book.show_study(study_instance_uid)
            self.panel.show_study(study_instance_uid)
            self.study_coming.emit(study_instance_uid)
            self._left.show()
            self.side.show()
        self._read_study()

    def set_state(self, state: ViewerState) -> None:
        """Show this; the latest state wins, whatever is still being read for an earlier one."""
        before, self.state = self.state, state
        if state == before:
            return
        if state.series_instance_uid != before.series_instance_uid and self.viewed is not None:
            self._show_series(self.viewed.find(state.series_instance_uid))
        if state.layout is not before.layout:
            self._lay_out(before.layout)
        if state.cine_per_s != before.cine_per_s:
            self._play()
        if self._store is not None and state.slice_index != before.slice_index:
            self._store.want(state.slice_index)
            self.pictures.strip.go_to(state.slice_index)
        if shows_map(state) and not shows_map(before):
            self.maps.want()
        if (shows_map(state), state.map_class) != (shows_map(before), before.map_class):
            self._map_seen()
        self.tools.follow(state)
        self._render()
        self.state_changed.emit(state)

    def add_side_panel(self, widget: QWidget, title: str) -> None:
        """Put a panel into the tabs at the right."""
        self.side.addTab(widget, title)

    def raise_side_panel(self, widget: QWidget) -> None:
        """Bring a panel to the front."""
        self.side.setCurrentWidget(widget)

    def prepare(self) -> None:
        """Have the reader process and the charts ready."""
        self.context.jobs.run(self.reader.warm_up, _nothing, lane="viewer", key="warm up", owner=self)
        preload(self.context.jobs, self)

    def enter(self) -> None:
        """Take the keys, and have ready what reading needs."""
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        self.prepare()

    def leave(self) -> None:
        """Stop what runs by itself, and remember the splitter."""
        if self._uid:  # before the first study the panels are hidden, and nobody has moved them
            self.context.user.remember(SPLITTER, self._splitter.saveState())
        self.set_state(replace(self.state, cine_per_s=0))

    def end(self) -> None:
        """Record the viewing, stop loading, end the reader process."""
        self.ending.emit()
        self._cine.stop()
        self._log.close_now()
        self._shelf.clear()
        self.reader.close()

    def back(self) -> bool:
        """Give up the measure being drawn, stop cine, put the tool away, leave the second picture; one at a time."""
        if self.mouse.drawing:
            self.mouse.give_up()
        elif self.state.cine_per_s:
            self.set_state(replace(self.state, cine_per_s=0))
        elif self.state.tool is not self.state.resting_tool:
            self.set_state(replace(self.state, tool=self.state.resting_tool))
        elif self.state.layout is not Layout.SINGLE:
            self.set_state(states.with_layout(self.state, Layout.SINGLE))
        else:
            return False
        return True

    # --- making ---

    def _make_widgets(self) -> None:
        self.pictures = Pictures(self.maps, self.context.running.pack, self)
        self.list, self.histogram = SeriesList(self), Histogram(self)
        self.side = QTabWidget(self)
        self.side.setObjectName("side_panels")
        self.side.hide()
        self.tools = ViewerTools(self.context.actions, self._choose_tool, self._choose_preset, self)
        for keyed in (*self.pictures.panes, self.pictures.strip, self.list):
            keyed.setProperty(PLACE_KEYS, True)
        self._left = left = QWidget(self)
        left.hide()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list, 1)
        column.addWidget(self.histogram)
        self.setFocusProxy(self.main.pane)
        # Only the pictures give way to a message: what a person thinks of a study can be saved without them.
        self._pages = QStackedWidget(self)
        self._pages.addWidget(self._made_message())
        self._pages.addWidget(self.pictures)
        # What the bar does is done to pictures: without them it would promise what it can't do.
        self.tools.bar.setVisible(False)
        self._pages.currentChanged.connect(
            lambda _page: self.tools.bar.setVisible(self._pages.currentWidget() is self.pictures)
        )
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        for place, (widget, stretch) in enumerate(((left, 0), (self._pages, 1), (self.side, 0))):
            self._splitter.addWidget(widget)
            self._splitter.setStretchFactor(place, stretch)
        self._splitter.restoreState(self.context.user.recalled(SPLITTER))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.tools.bar)
        layout.addWidget(self._splitter, 1)
        self._cine, self._strip_timer = QTimer(self), QTimer(self, singleShot=True, interval=STRIP_EVERY_MS)
        self._reformat_timer = QTimer(self, singleShot=True, interval=REFORMATS_EVERY_MS)
        self._resized = QTimer(self, singleShot=True, interval=0)
        self._refresh_timer = QTimer(self, singleShot=True, interval=REFRESH_AFTER_MS)

    def _made_message(self) -> QWidget:
        page = QWidget(self)
        self.message = QLabel(translate("ViewerPlace", "No study is open. Choose one in the worklist."), page)
        self.message.setWordWrap(True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setTextFormat(Qt.TextFormat.PlainText)
        go = QPushButton(translate("ViewerPlace", "Go to the worklist"), page)
        go.clicked.connect(lambda: self.show_place.emit(action_names.WORKLIST))
        column = QVBoxLayout(page)
        column.addStretch(1)
        column.addWidget(self.message)
        column.addWidget(go, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
        return page

    def _connect_widgets(self) -> None:
        for view in (self.main, self.beside):
            self.mouse.listen(view)
            view.pane.resized.connect(self._resized.start)
        for plane in (self.pictures.coronal, self.pictures.sagittal):
            plane.pane.pressed.connect(partial(self._cross_from, plane))
            plane.pane.moved.connect(partial(self._cross_from, plane))
            plane.pane.wheeled.connect(partial(self._turn_plane, plane))
        self.main.pane.painted.connect(self._painted)
        self.pictures.strip.wanted.connect(self._go_to_slice)
        self.pictures.strip.wheeled.connect(self.mouse.wheeled)
        self.list.series_wanted.connect(self._go_to_series)
        self.list.prior_wanted.connect(self.prior.open_study)
        self.prior.opened.connect(self._prior_opened)
        self.prior.changed.connect(self._render)
        self.prior.say.connect(self.say)
        self.study_shown.connect(self.panel.set_viewed)
        self.state_changed.connect(self.panel.set_state)
        self.panel.go_to_slice.connect(self._go_to_scored)
        self.panel.map_requested.connect(lambda on: self.set_state(states.with_map(self.state, on)))
        self.book.changed.connect(self._render)
        self.maps.changed.connect(self._maps_changed)
        self._cine.timeout.connect(self._next_frame)
        self._strip_timer.timeout.connect(self._show_strip)
        self._reformat_timer.timeout.connect(self._fill_reformats)
        self._refresh_timer.timeout.connect(self._read_study)
        self._resized.timeout.connect(self._render)

    def _connect_actions(self) -> None:
        """Connect the actions of this place; those of map and verdict are connected where they belong."""
        found = self.context.actions
        for name, change in CHANGES.items():
            found[name].triggered.connect(partial(self._change, change))
        for name, step in WINDOW_STEPS.items():
            found[name].triggered.connect(partial(self._step_window, step))
        for name, way in STUDY_STEPS.items():
            found[name].triggered.connect(partial(self._ask_for_step, way))
        for tool, name in KEYED_TOOLS.items():
            found[name].triggered.connect(partial(self._choose_tool, tool))
        for layout, name in LAYOUTS.items():
            found[name].triggered.connect(partial(self._choose_layout, layout))
        for key in KEYS:
            found[f"viewer.preset_{key}"].triggered.connect(partial(self._preset_of_key, key))
            found[f"viewer.own_preset_{key}"].triggered.connect(partial(self._preset_of_key, f"Shift+{key}"))
        found["viewer.previous_series"].triggered.connect(partial(self._step_series, -1))
        found["viewer.next_series"].triggered.connect(partial(self._step_series, 1))
        found["viewer.delete_measure"].triggered.connect(self._delete_measure)
        found["viewer.overlays"].triggered.connect(self._switch_overlays)
        found["viewer.corner_text"].triggered.connect(self._next_corner_text)
        found["copy_picture"].triggered.connect(self._copy_picture)

    def _connect_context(self) -> None:
        self.context.identities.changed.connect(self._identity_changed)
        self.context.user.changed.connect(self._user_changed)
        self.context.site.changed.connect(self._render)
        self.context.bridge.studies_changed.connect(self._studies_changed)

    # --- reading a study ---

    def _leave_study(self) -> None:
        """Take everything of the study before off the screen at once."""
        if self._store is not None:
            self._store.stop()
        self.viewed, self._priors = None, ()
        self._person, self._sketch, self._map_was_on = Person(), None, False
        self.prior.forget()
        self._use(None)
        self.list.clear()
        self.maps.study_coming()
        self.set_state(self._settled(ViewerState()))

    def _read_study(self) -> None:
        """Read headers on a thread of their own; the middle of the scored half comes before all others."""
        uid, reading, reader, known = self._uid, self.context.reading, self.reader, self.viewed is not None
        if not uid:
            return

        def work(give: Callable[[object], None]) -> None:
            row = reading.row(uid)
            give(row)
            first = None if known else reader.first_look(reading, uid)
            if first is not None:
                give(first)
            give(reader.open(reading, uid, cancelled))
            others = reading.search(row.patient_id) if row is not None and row.patient_id else ()
            give(earlier_studies(row, others) if row is not None else ())

        take, failed = partial(self._take, uid), partial(self._failed, uid)
        self.context.jobs.stream(work, take, None, failed, lane="viewer", key="open study", owner=self)

    def _take(self, uid: str, item: object) -> None:
        if uid != self._uid:  # what had been posted before the next study was asked for
            return
        match item:
            case Row():
                self._person = self._named(item)
                self._render()
            case FirstLook():
                self._show_first(item)
            case ViewedStudy():
                self._show_viewed(item)
            case tuple():
                self._priors = item
                self._show_list()

    def _failed(self, uid: str, sentence: str) -> None:
        if uid != self._uid or self.viewed is not None:
            return
        self.maps.show_study(None)
        who = self._person.identity
        self.message.setText(f"{who.name} {who.patient_id}\n\n{sentence}" if who is not None else sentence)
        self._pages.setCurrentIndex(0)

    def _show_first(self, first: FirstLook) -> None:
        """Show the slice that was read before the series is known: its neighbours are shown as coming."""
        if self.viewed is not None or isinstance(first.shown, Finding):
            return
        rows, columns = first.shown.pixels.shape
        name = first.instance.header.series_description
        alone = Series(first.series_instance_uid, (first.instance,), description=name)
        series = ViewedSeries(alone, (first.instance,) * first.slices, None, first.used, rows, columns, scored=True)
        store = SliceStore(first.study_instance_uid, series)
        store.take(first.slice_index, first.shown)
        self._use(store)
        where = (first.study_instance_uid, first.series_instance_uid, first.slices, first.slice_index)
        self.set_state(states.with_map(states.opened(self.state, *where), self.state.map_on))

    def _show_viewed(self, viewed: ViewedStudy) -> None:
        before, self.viewed = self._store, viewed
        self.maps.show_study(viewed)
        series = viewed.find(self.state.series_instance_uid) or viewed.series[0]
        store = self._shelf.store(viewed.study_instance_uid, series, self.beside.store)
        total, place = len(series.instances), None
        if before is not None and before is not store:
            hand_over(before, store)
            place = place_after(before, store, self.state.slice_index)
        self._use(store)
        if place is not None or before is store:  # what is on the screen stays, wherever it stands by now
            self.set_state(
                replace(self.state, slices=total, slice_index=self.state.slice_index if place is None else place)
            )
        else:
            where = (viewed.study_instance_uid, series.series_instance_uid, total)
            opened = states.opened(self.state, *where, states.middle_of(series.used, total))
            self.set_state(states.with_map(opened, self.state.map_on))
        if self.state.map_on and self.maps.blocked:  # asked for while the study was being opened
            self.say.emit(self.maps.blocked)
            self.set_state(states.with_map(self.state, on=False))
        store.load(self.context.jobs, self.reader, self.state.slice_index, "pictures")
        self._show_list()
        self._render()
        self.study_shown.emit(viewed)

    def _show_list(self) -> None:
        if self.viewed is not None:
            self.list.show_study(self.viewed, self._priors)
            self.list.mark(self.state.series_instance_uid)

    def _use(self, store: SliceStore | None) -> None:
        """Draw slices of this store, and hear of those that come."""
        if store is self._store:
            return
        if self._store is not None:
            self._store.changed.disconnect(self._slice_came)
            self._store.failed.disconnect(self.say)
        self._store = store
        if store is not None:
            store.changed.connect(self._slice_came)
            store.failed.connect(self.say)
            self._pages.setCurrentIndex(1)
        self.pictures.show_store(store, self.state.layout)
        self._show_strip()

    def _show_series(self, series: ViewedSeries | None) -> None:
        if series is None or self.viewed is None:
            return
        if self._store is not None and self._store.series is not series:
            self._store.stop()
        store = self._shelf.store(self.viewed.study_instance_uid, series, self.beside.store)
        self._use(store)
        store.load(self.context.jobs, self.reader, self.state.slice_index, "pictures")
        self.list.mark(series.series_instance_uid)
        if self.state.layout is Layout.PRIOR_BESIDE:
            self._link_prior()

    def _go_to_series(self, series_instance_uid: str) -> None:
        series = None if self.viewed is None else self.viewed.find(series_instance_uid)
        if series is None or series_instance_uid == self.state.series_instance_uid:
            return
        total = len(series.instances)
        start = states.middle_of(series.used, total)
        self.set_state(states.other_series(self.state, series_instance_uid, total, start))

    def _go_to_slice(self, index: int) -> None:
        self.set_state(states.at_slice(self.state, index))

    def _go_to_scored(self, index: int) -> None:
        """Go to a slice of the scored series, whatever is on the screen."""
        if self.viewed is not None and self.viewed.series[0].scored:
            self._go_to_series(self.viewed.series[0].series_instance_uid)
            self._go_to_slice(index)

    def _step_series(self, step: int, *_: object) -> None:
        uids = [] if self.viewed is None else [one.series_instance_uid for one in self.viewed.series]
        if self.state.series_instance_uid not in uids:
            return
        place = uids.index(self.state.series_instance_uid) + step
        if 0 <= place < len(uids):
            self._go_to_series(uids[place])

    # --- drawing ---

    def _render(self, *_: object) -> None:
        other = self.state.layout is Layout.PRIOR_BESIDE
        around = Around(
            person=self._person,
            covered=self._covered,
            measures=self._with_sketch,
            chosen=self.book.chosen,
            other_index=self.prior.index_for(self.series, self.state.slice_index) if other else None,
        )
        self.pictures.render_state(self.state, around)
        if self.main.roi is not self.histogram.found:
            self.histogram.show_values(self.main.roi)

    @property
    def _covered(self) -> bool:
        """Whether the site wants the own impression first, and there is none yet."""
        row = self._person.row
        return row is not None and is_covered(row, self.context.site.value.look_first)

    def _with_sketch(self, view: SliceView) -> tuple[Measure, ...]:
        return (*self.measures_on(view), *((self._sketch,) if self._sketch is not None else ()))

    def _lay_out(self, before: Layout) -> None:
        if before is Layout.PRIOR_BESIDE:
            self.beside.show_store(self._store)
        self.beside.note = ""
        if self.state.layout is Layout.PRIOR_BESIDE:
            self._link_prior()
        self.pictures.lay_out(self.state.layout)

    def _show_strip(self) -> None:
        self.pictures.strip.show_content(content_of(self._store, self._contributions()), self.state.slice_index)

    def _contributions(self) -> dict[int, float]:
        """What each slice says for the selected class, once the map was on (ux.md 4.1.3)."""
        series, viewed = self.series, self.viewed
        if not self._map_was_on or self._covered or series is None or viewed is None or viewed.result is None:
            return {}
        column, shares = CLASSES.index(self.state.map_class), viewed.result.score.slice_contributions
        return {index: shares[place][column] for index, place in self.maps.places(series).items()}

    def _slice_came(self, index: int) -> None:
        if index == self.state.slice_index:
            self._render()
        if not self._strip_timer.isActive():
            self._strip_timer.start()
        if self.state.layout is Layout.REFORMATS and not self._reformat_timer.isActive():
            self._reformat_timer.start()

    def _fill_reformats(self) -> None:
        if self.state.layout is Layout.REFORMATS:
            self.pictures.render_reformats(self.state)

    def _painted(self, index: int) -> None:
        if self._store is not None:
            self._log.saw(self.state.series_instance_uid, index, self._store.slices)
        self.slice_painted.emit(index)

    # --- window, tools, layouts ---

    def _change(self, change: Change, *_: object) -> None:
        self.set_state(change(self.state))

    def _step_window(self, step: WindowStep, *_: object) -> None:
        self.set_state(step.applied(self.state, self.context.actions.repeats))

    def _ask_for_step(self, way: str, *_: object) -> None:
        self.study_step_wanted.emit(way)

    def _preset_of_key(self, key: str, *_: object) -> None:
        found = with_key(key, presets(self.context.user.value.presets))
        if found is not None:
            self._choose_preset(found.name)

    def _choose_preset(self, name: str, *_: object) -> None:
        preset = next((one for one in presets(self.context.user.value.presets) if one.name == name), None)
        if preset is None:
            return
        series, index = self.series, self.main.shown_index
        header = None if series is None or index is None else series.instances[index].header
        window = self.state.window if name == MODEL else window_of(preset, header, self.main.hounsfield)
        self.set_state(states.with_preset(self.state, name, window))

    def _choose_tool(self, tool: Tool, *_: object) -> None:
        self.set_state(states.with_tool(self.state, tool))

    def _choose_layout(self, layout: Layout, *_: object) -> None:
        state = states.with_layout(self.state, layout)
        if state.layout is Layout.REFORMATS and self._store is not None and state.cross is None:
            state = states.crossing(state, *middle(self._store))
        if state.layout is Layout.PRIOR_BESIDE and not self.prior.is_open:
            self._open_prior()
        else:
            self.set_state(state)

    def _next_corner_text(self, *_: object) -> None:
        state = states.next_corner_text(self.state)
        self.set_state(state)
        self.context.user.change(corner_text=state.corner_text.value)

    def _switch_overlays(self, *_: object) -> None:
        self.context.user.change(image_overlays=not self.state.overlays)

    def _delete_measure(self, *_: object) -> None:
        chosen = self.book.find(self.book.chosen) or next(reversed(self.measures_on(self.main)), None)
        if chosen is not None:
            self.book.delete(chosen)

    def _copy_picture(self, *_: object) -> None:
        """Copy the picture without any text, and so without the patient's identity."""
        if self.isVisible() and not self.main.pane.image().isNull():
            QGuiApplication.clipboard().setImage(self.main.pane.image().copy())
            self.say.emit(translate("ViewerPlace", "The picture was copied, without the patient's identity."))

    def _play(self) -> None:
        if self.state.cine_per_s:
            self._cine.start(round(1000 / self.state.cine_per_s))
        else:
            self._cine.stop()

    def _next_frame(self) -> None:
        """Go on when the next slice is there: cine waits rather than dims."""
        state = states.next_frame(self.state)
        if self._store is not None and self._store.pixels(state.slice_index) is not None:
            self.set_state(state)
        elif self._store is not None:
            self._store.want(state.slice_index)

    # --- map ---

    def _maps_changed(self) -> None:
        self._map_seen()
        self._render()

    def _map_seen(self) -> None:
        """Note that a map is on the screen: from here on the strip shows contributions, and the history knows."""
        if shows_map(self.state) and not self._covered and self.maps.limits(self.state.map_class) is not None:
            self._map_was_on = True
            self._log.map_switched_on()
        self._show_strip()

    # --- the other study ---

    def _open_prior(self) -> None:
        if self._priors:
            self.prior.open_study(self._priors[0].study_instance_uid)
            return
        viewed, series = self.viewed, self.series
        if viewed is None or series is None or not self.prior.open_other_series(viewed, series, self._person):
            self.say.emit(translate("ViewerPlace", "There is no other study or series of this patient to show beside."))
            self.tools.follow(self.state)

    def _prior_opened(self) -> None:
        if self.state.layout is Layout.PRIOR_BESIDE:
            self._link_prior()
            self._render()
        else:
            self.set_state(states.with_layout(self.state, Layout.PRIOR_BESIDE))

    def _link_prior(self) -> None:
        self.prior.follow(self.series, self._store, self._uid, self.state.slice_index)

    # --- what the mouse asks for ---

    def measures_on(self, view: SliceView) -> tuple[Measure, ...]:
        """Return the measures on the slice that a pane shows."""
        if view.store is None or view.shown_index is None:
            return ()
        series = view.store.series
        return self.book.on(series.series_instance_uid, series.instances[view.shown_index].identity)

    def sketch(self, view: SliceView, measure: Measure | None) -> None:
        """Show a measure while it is drawn; measures belong to the study, so none is drawn on another one."""
        self._sketch = measure if view.store is self._store else None
        self._render()

    def point_at(self, view: SliceView, point: Point | None) -> None:
        """Show the value under the pointer."""
        view.pointer = point
        self._render()

    def scroll_apart(self, view: SliceView, slices: int) -> bool:
        """Scroll the picture of another study alone; False where the pane shows this one."""
        if view is not self.beside or self.state.layout is not Layout.PRIOR_BESIDE:
            return False
        done = self.prior.scroll(self.series, self.state.slice_index, slices)
        self._render()
        return done

    def show_menu(self, pane: ImagePane, at: QPoint) -> None:
        """Show the menu at the pointer."""
        menu = self.tools.menu_at_pointer(pane)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def _cross_from(self, plane: ReformatView, event: QMouseEvent) -> None:
        """Press or drag in a plane: the cross and the slice go there."""
        if not event.buttons() & Qt.MouseButton.LeftButton:
            return
        found = plane.cross_at(*plane.pane.to_slice(event.position()), self.state)
        if found is not None:
            cross, index = found
            self.set_state(states.at_slice(states.crossing(self.state, *cross), index))

    def _turn_plane(self, plane: ReformatView, event: QWheelEvent) -> None:
        """A wheel over a plane moves the plane."""
        steps = self.mouse.wheel.add(event.angleDelta().y())
        if not steps or self.state.cross is None or self.series is None:
            return
        row, column = self.state.cross
        if plane.plane is Plane.CORONAL:
            row = min(max(row + steps, 0), self.series.rows - 1)
        else:
            column = min(max(column + steps, 0), self.series.columns - 1)
        self.set_state(states.crossing(self.state, row, column))

    # --- what changes elsewhere ---

    def _named(self, row: Row) -> Person:
        return Person(row, self.context.identity(row))

    def _identity_changed(self) -> None:
        if self._person.row is not None:
            self._person = self._named(self._person.row)
        self.prior.rename(self._named)
        self._render()

    def _user_changed(self, names: frozenset[str]) -> None:
        self.mouse.follow(self.context.user.value)
        if "presets" in names:
            self.tools.offer_presets(presets(self.context.user.value.presets))
        self.set_state(self._settled(self.state))

    def _settled(self, state: ViewerState) -> ViewerState:
        """Return the state with what the user's settings say."""
        user, resting = self.context.user.value, self.mouse.bindings.left
        return replace(
            state,
            colour_map=user.colour_map,
            map_opacity=user.map_opacity_percent / 100,
            corner_text=corner_text_of(user.corner_text),
            overlays=user.image_overlays,
            tool=resting if state.tool is state.resting_tool else state.tool,
            resting_tool=resting,
        )

    def _studies_changed(self, uids: frozenset[str]) -> None:
        """Late slices, a new score: the study is read again, behind what is on the screen."""
        if self._uid in uids and not self._refresh_timer.isActive():
            self._refresh_timer.start()


def _nothing(_: object) -> None:
    pass
