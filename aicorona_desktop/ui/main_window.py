"""The window: header, places, quiet bars and footer; it lays out and connects, and decides nothing."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLocale, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QPaintEvent,
    QUndoStack,
)
from PySide6.QtWidgets import QApplication, QDialog, QLabel, QStackedWidget, QVBoxLayout, QWidget

from aicorona_desktop.app.services import Running, Wishes, take_received
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import BatchStarted, ImportDone, Notice, Progress, WatchedFolder, WatchState
from aicorona_desktop.core.findings import Finding, Reason
from aicorona_desktop.core.receiving import ReceiverState
from aicorona_desktop.core.sources import WatchedSource
from aicorona_desktop.history.store import History, utc_now
from aicorona_desktop.intake.media import Medium
from aicorona_desktop.ui import places
from aicorona_desktop.ui.actions import VERIFICATION, VIEWER, WORKLIST, Actions
from aicorona_desktop.ui.choices import SiteChoices, UserChoices
from aicorona_desktop.ui.context import Context, Place
from aicorona_desktop.ui.disc_imports import DiscImports
from aicorona_desktop.ui.finding_words import finding_text
from aicorona_desktop.ui.footer import Footer, FooterFacts
from aicorona_desktop.ui.header import Header
from aicorona_desktop.ui.icons import program_icon
from aicorona_desktop.ui.identity import Identities
from aicorona_desktop.ui.intake import Intake
from aicorona_desktop.ui.jobs import Bridge, Jobs
from aicorona_desktop.ui.keys import KeyRouter
from aicorona_desktop.ui.notices import Notices
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.services import Opened, Services
from aicorona_desktop.ui.site_words import footer_words
from aicorona_desktop.ui.theme import FocusRing, ThemeKeeper

log = logging.getLogger(__name__)
translate = QCoreApplication.translate
PREPARE_AFTER_MS = 1500  # the list is drawn and the model loaded by then

TITLE = "aicorona-desktop"
SMALLEST = QSize(960, 600)
DISK_EVERY_MS = 10_000
DEVICE_EVERY_MS = 500
CLOSE_S = 2.0
LATER = ("lock", "report_page", "export")
"""Actions whose part of the program comes in a later version; they say so where they are greyed."""


class MainWindow(QWidget):
    """The one window. It shows itself first and opens the services then, away from its thread.

    `painted` comes once, after the first paint; `ready` once the places stand; `study_shown` is not its business.
    """

    painted = Signal()
    ready = Signal()

    def __init__(self, wishes: Wishes, folder: Path, told: Iterable[str] = ()) -> None:
        """Make the window; `folder` keeps the settings of site and user, `told` is said once it is open."""
        super().__init__()
        self._wishes = wishes
        self._told = tuple(told)
        self.jobs = Jobs(self)
        self.bridge = Bridge(self)
        self.site = SiteChoices(wishes.settings, folder, self.jobs, self)
        self.user = UserChoices.load(folder, self.jobs)
        self.user.setParent(self)
        self.theme = ThemeKeeper(_application(), self.user)
        self.actions_by_name = Actions(self.user.own_keys(), self)
        self.undo = QUndoStack(self)
        self.services = Services()
        self.restore_from: Path | None = None
        self.context: Context | None = None
        self.places: dict[str, Place] = {}
        self._has_painted = False
        self._batch: BatchStarted | None = None
        self._device_left: Finding | None = None
        self._in_front = WORKLIST
        self._before_full_screen = Qt.WindowState.WindowNoState
        self._lay_out(folder)
        self.intake = Intake(self, self.actions_by_name)
        self.keys = KeyRouter(self, self.actions_by_name, lambda: self._in_front)
        self.ring = FocusRing(self, self.theme)
        self.keys.by_key.connect(self.ring.set_by_key)
        self.keys.refused.connect(self._refused_by_key)
        self._disk_timer = QTimer(self, interval=DISK_EVERY_MS)
        self._disk_timer.timeout.connect(self._measure_disk)
        self._connect()
        self._restore_place_on_screen()

    # --- before the services -------------------------------------------------------------------------------------

    def _lay_out(self, folder: Path) -> None:
        self.setWindowTitle(TITLE)
        self.setWindowIcon(program_icon())
        self.setMinimumSize(SMALLEST)
        self.setAcceptDrops(True)
        self.header = Header(self.actions_by_name, self.theme, places.MAKERS, self)
        self.stack = QStackedWidget(self)
        self.opening = plain(QLabel(translate("Window", "Opening the history…"), self.stack))
        self.opening.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.opening.setWordWrap(True)
        self.stack.addWidget(self.opening)
        self.notices = Notices(self.theme, self)
        self.discs = DiscImports(folder, self)
        self.footer = Footer(self.theme, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.stack, 1)
        column.addWidget(self.discs)
        column.addWidget(self.notices)
        column.addWidget(self.footer)

    def _connect(self) -> None:
        asked: dict[str, Callable[[], object]] = {
            **{f"place.{name}": (lambda name=name: self.show_place(name)) for name in places.MAKERS},  # type: ignore[misc]
            "undo": self.undo.undo,
            "redo": self.undo.redo,
            "text_larger": lambda: self.theme.resize_text(1),
            "text_smaller": lambda: self.theme.resize_text(-1),
            "text_reset": self._reset_text,
            "full_screen": self._switch_full_screen,
            "restore_layout": self.restore_layout,
            "settings": self.open_settings,
            "storage": lambda: self.open_settings("storage"),
            "help": self.open_help,
            "about": lambda: self.open_help(about=True),
            "key_sheet": self.open_key_sheet,
            "quit": self.close,
            "back": self.go_back,
            "refresh": self._look_for_files,
            "stop_import": self._stop_import,
        }
        for name, answer in asked.items():
            self.actions_by_name[name].triggered.connect(lambda _=False, answer=answer: answer())
        for name in LATER:
            self.actions_by_name.disable(name, translate("Window", "This comes with a later version."))
        self._tell_copying()
        self.actions_by_name.disable("stop_import", translate("Window", "Nothing is being read now."))
        self.intake.wanted.connect(self.submit)
        self.intake.disc_wanted.connect(self._read_disc)
        self.intake.watch_wanted.connect(self._watch)
        self.discs.active_changed.connect(self._tell_stop)
        self.intake.refused.connect(self.notices.say)
        self.undo.canUndoChanged.connect(self._tell_undo)
        self.undo.canRedoChanged.connect(self._tell_undo)
        self.undo.undoTextChanged.connect(self._tell_undo)
        self._tell_undo()
        self.jobs.failed.connect(lambda sentence: self.notices.show_cause("job", sentence, "warning"))
        self.footer.notice_asked.connect(lambda: self.open_help(about=True))
        self.footer.settings_asked.connect(self.open_settings)
        self.footer.verification_asked.connect(lambda: self.show_place(VERIFICATION))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint; the first time, go on with the services afterwards."""
        super().paintEvent(event)
        if not self._has_painted:
            self._has_painted = True
            QTimer.singleShot(0, self, self._first_painted)

    def _first_painted(self) -> None:
        self.painted.emit()
        self.jobs.run(
            lambda: self.services.open(self._wishes, self.bridge), self._opened, self._not_opened, lane="services"
        )

    # --- with the services ---------------------------------------------------------------------------------------

    def _opened(self, opened: Opened | None) -> None:
        if opened is None:
            return
        identities = Identities(opened.codes_key, hidden=self.site.value.hide_names, parent=self)
        self.context = Context(
            running=opened.running,
            reading=opened.reading,
            jobs=self.jobs,
            bridge=self.bridge,
            site=self.site,
            user=self.user,
            actions=self.actions_by_name,
            undo=self.undo,
            identities=identities,
            theme=self.theme,
            now=utc_now,
            person=lambda: self.user.value.initials,
            restore=self.close_to_restore,
        )
        self._connect_context(self.context)
        for sentence in (*self._told, *opened.told):
            self.notices.show_cause(f"opening: {sentence}", sentence, "warning")
        if opened.running.reader_only:
            self.notices.show_cause("reading only", opened.running.reader_only, "warning")
        self._show_facts()
        self._measure_disk()
        self._disk_timer.start()
        self._look_for_device()
        self._acknowledge(opened.running)

    def _not_opened(self, sentence: str) -> None:
        rest = translate(
            "Window", "No study can be shown or scored until this is solved. Solve it and start the program again."
        )
        self.opening.setText(f"{sentence}\n\n{rest}")
        self.notices.show_cause("services", sentence, "trouble", self.actions_by_name["quit"])

    def _connect_context(self, context: Context) -> None:
        bridge, identities, actions = self.bridge, context.identities, self.actions_by_name
        bridge.notice.connect(self._noticed)
        bridge.batch_started.connect(self._batch_started)
        bridge.progress.connect(self._progressed)
        bridge.import_done.connect(self._imported)
        bridge.sources_changed.connect(self._sources_changed)
        bridge.engine_failed.connect(self._engine_failed)
        bridge.not_done.connect(lambda news: self.notices.say(news.sentence))
        bridge.studies_changed.connect(self._show_facts)
        bridge.studies_changed.connect(self._tell_pace)
        self.site.changed.connect(self._site_changed)
        actions["hide_names"].setChecked(identities.hidden)
        actions["hide_names"].toggled.connect(identities.hide)
        actions.pressed.connect(lambda name: self._peek(name, peeking=True))
        actions.released.connect(lambda name: self._peek(name, peeking=False))
        if context.running.engine is None:
            for name in ("open_folder", "open_files", "import_disc", "watch_folder", "refresh"):
                actions.disable(name, context.running.reader_only)
        self.discs.begin(context)

    def _acknowledge(self, running: Running) -> None:
        """Have the notice read before the first list, once for each user and pack."""
        if running.pack.sha256 in self.user.value.acknowledged:
            self._make_places()
            return
        from aicorona_desktop.ui.acknowledge import AcknowledgeSheet

        sheet = AcknowledgeSheet(running.pack, self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.accepted.connect(lambda: self._acknowledged(running.pack.sha256))
        sheet.rejected.connect(self.close)
        sheet.open()

    def _acknowledged(self, pack_sha256: str) -> None:
        self.user.change(acknowledged=self.user.value.with_acknowledged(pack_sha256).acknowledged)
        self._make_places()

    def _make_places(self) -> None:
        """Make the places one a turn of the event loop, the list first: it can be used while the viewer is made."""
        if self.context is None:
            return
        missing = [name for name in places.MAKERS if name not in self.places]
        if not missing:
            places.join(self.places, self.open_study)
            self._show_after_making()
            return
        name = missing[0]
        place = self.places[name] = places.MAKERS[name](self.context)
        self.stack.addWidget(place)
        place.open_study.connect(self.open_study)
        place.show_place.connect(self.show_place)
        place.say.connect(self.notices.say)
        if len(self.places) == 1:
            self.show_place(name)
        QTimer.singleShot(0, self, self._make_places)

    def _show_after_making(self) -> None:
        last = self.user.value.last_place
        if last in self.places and last not in (VIEWER, self._in_front):  # an empty viewer is nowhere to begin
            self.show_place(last)
        self.ready.emit()
        QTimer.singleShot(PREPARE_AFTER_MS, self, self._prepare_places)

    def _prepare_places(self) -> None:
        for place in self.places.values():
            place.prepare()

    # --- places --------------------------------------------------------------------------------------------------

    @property
    def in_front(self) -> str:
        """The name of the place that is shown."""
        return self._in_front

    def show_place(self, name: str) -> None:
        """Bring a place to the front."""
        place = self.places.get(name)
        if place is None:
            self.header.show_place(self._in_front)
            return
        before = self.places.get(self._in_front)
        self.header.show_place(name)
        if before is place and self.stack.currentWidget() is place:
            return
        if before is not None and self.stack.currentWidget() is before:
            before.leave()
        self._in_front = name
        self._tell_copying()
        self.stack.setCurrentWidget(place)
        place.enter()
        place.setFocus()

    def open_study(self, study_instance_uid: str) -> None:
        """Show a study in the viewer."""
        viewer = self.places.get(VIEWER)
        if viewer is None:
            return
        self.show_place(VIEWER)
        viewer.show_study(study_instance_uid)

    def go_back(self) -> None:
        """Go one step back: inside the place, out of full screen, from any place to the list."""
        place = self.places.get(self._in_front)
        if place is not None and place.back():
            return
        if self.isFullScreen():
            self.actions_by_name["full_screen"].trigger()
        elif self._in_front != WORKLIST:
            self.show_place(WORKLIST)

    # --- what comes in -------------------------------------------------------------------------------------------

    def submit(self, paths: Iterable[Path]) -> int | None:
        """Have the engine read files, folders or archives; return the number of the batch."""
        engine = self.context.running.engine if self.context else None
        chosen = tuple(paths)
        if engine is None or not chosen:
            if self.context is not None and chosen:
                self.notices.say(self.context.running.reader_only)
            return None
        if self._in_front not in (WORKLIST, VIEWER):
            self.show_place(WORKLIST)
        return engine.submit(chosen, copied=self.site.value.copy_files)

    def _read_disc(self, medium: Medium) -> None:
        if self.discs.read(medium) is None and self.context is not None:
            self.notices.say(self.context.running.reader_only)
        elif self._in_front not in (WORKLIST, VIEWER):
            self.show_place(WORKLIST)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files and folders of this computer."""
        if self.context is not None and self.context.writable and _local_paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Read what was dropped."""
        paths = _local_paths(event)
        if paths:
            event.acceptProposedAction()
            self.submit(paths)

    def _watch(self, folder: Path) -> None:
        watched = self.site.value.watched
        if folder not in {one.folder for one in watched}:
            self.site.change(watched=(*watched, WatchedSource(folder)))

    def _site_changed(self, names: frozenset[str]) -> None:
        self._show_facts()
        if self.context is None or self.context.running.engine is None:
            return
        engine = self.context.running.engine
        if "watched" in names:
            for source in self.site.value.watched:
                engine.watch(source)
            for folder in {one.folder for one in self._watched_folders()} - {
                one.folder for one in self.site.value.watched
            }:
                engine.unwatch(folder)
            self._sources_changed()
        self._change_receiver(names)
        self._change_storage(names)
        engine.change_settings(self.site.value)

    def _change_receiver(self, names: frozenset[str]) -> None:
        """Have receiver and backups as the site says now."""
        if self.context is None or self.context.running.engine is None:
            return
        running, site = self.context.running, self.site.value
        engine, receiving = self.context.running.engine, running.receiving
        if "receiver" in names and receiving is not None:
            self.jobs.run(lambda: take_received(engine, receiving, site), _nothing, lane="receiver")
        if "backup_also_to" in names and running.backups is not None:
            running.backups.change(site.backup_also_to)

    def _change_storage(self, names: frozenset[str]) -> None:
        """Have kept slices and the removal of images as the site says now."""
        if self.context is None:
            return
        running, site = self.context.running, self.site.value
        if "cache_gb" in names:
            running.volumes.most_gb = site.cache_gb
            self.jobs.run(running.volumes.make_room, _nothing, lane="storage")
        if names & {"keep_days", "keep_gb"} and running.retention is not None:
            running.retention.change(site.retention)

    def _inbox(self) -> Path | None:
        """The folder of received objects, which is ours and none of the watched ones."""
        receiving = self.context.running.receiving if self.context is not None else None
        return None if receiving is None else receiving.inbox

    def _watched_folders(self) -> tuple[WatchedFolder, ...]:
        engine = self.context.running.engine if self.context is not None else None
        inbox = self._inbox()
        return () if engine is None else tuple(one for one in engine.watching() if one.folder != inbox)

    def _receiver_state(self) -> ReceiverState:
        receiving = self.context.running.receiving if self.context is not None else None
        return ReceiverState() if receiving is None else receiving.state

    def _look_for_files(self) -> None:
        if self.context is not None and self.context.running.engine is not None:
            self.context.running.engine.look_now()

    def _stop_import(self) -> None:
        if self._batch is None:
            self.discs.stop()
        elif self.context is not None and self.context.running.engine is not None:
            self.context.running.engine.cancel_import(self._batch.number)

    def _batch_started(self, batch: BatchStarted) -> None:
        if batch.disc:
            return  # it has a line of its own
        self._batch = batch
        self._tell_stop()
        self._tell_progress(0, None)

    def _progressed(self, progress: Progress) -> None:
        if self._batch is not None and progress.number == self._batch.number:
            self._tell_progress(progress.files_read, progress.files_total)

    def _tell_progress(self, read: int, total: int | None) -> None:
        if self._batch is None:
            return
        if total is None:
            words = translate("Window", "Reading “{name}”: %n file(s) so far", "", read)
        else:
            words = translate("Window", "Reading “{name}”: {read} of %n file(s)", "", total)
        sentence = words.replace("{name}", self._batch.label).replace("{read}", str(read))
        self.notices.show_cause("import", sentence, action=self.actions_by_name["stop_import"])

    def _imported(self, done: ImportDone) -> None:
        if self._batch is not None and done.summary.number == self._batch.number:
            self._batch = None
            self.notices.clear("import")
            self._tell_stop()

    def _tell_stop(self) -> None:
        if self._batch is not None or any(not one.is_over for one in self.discs.lines):
            self.actions_by_name.enable("stop_import")
        else:
            self.actions_by_name.disable("stop_import", translate("Window", "Nothing is being read now."))

    # --- what is told --------------------------------------------------------------------------------------------

    def _noticed(self, notice: Notice) -> None:
        reason = notice.finding.reason
        if reason is Reason.DISK_HAS_ROOM:
            self.notices.clear(Reason.DISK_NEARLY_FULL.name)
            self.notices.say(str(notice.finding))
        else:
            room = self.actions_by_name["storage"] if reason is Reason.DISK_NEARLY_FULL else None
            self.notices.show_cause(reason.name, _notice_text(notice.finding), "warning", room)
            if reason is Reason.PROVIDER_LEFT:
                self._device_left = notice.finding
        self._show_facts()

    def _tell_pace(self, uids: frozenset[str]) -> None:
        """After a device was left: add to its bar how long a study takes now, as soon as one is scored without it."""
        if self._device_left is None or self.context is None:
            return
        reading = self.context.reading
        self.jobs.run(lambda: _seconds_on_processor(reading, uids), self._show_pace, lane="ledger", owner=self)

    def _show_pace(self, seconds: float | None) -> None:
        if seconds is None or self._device_left is None:
            return
        sentence = _notice_text(self._device_left, seconds)
        self.notices.show_cause(Reason.PROVIDER_LEFT.name, sentence, "warning")
        self._device_left = None

    def _engine_failed(self, sentence: str) -> None:
        self.notices.show_cause("engine", sentence, "trouble")

    def _sources_changed(self) -> None:
        """Say which folder refuses access; one that is merely lost colours the footer (ux.md 3.3)."""
        self._show_facts()
        self._tell_receiver()
        refused = {one.folder for one in self.footer.facts.folders if one.state is WatchState.REFUSED}
        for cause in self.notices.sentences():
            if cause.startswith("folder ") and Path(cause.removeprefix("folder ")) not in refused:
                self.notices.clear(cause)
        for folder in refused:
            words = translate(
                "Window",
                "The folder “{name}” refuses access to this user. Its studies are not seen. "
                "Choose again or ask for the right.",
            ).format(name=folder.name or folder)
            self.notices.show_cause(f"folder {folder}", words, "warning", self.actions_by_name["settings"])

    def _tell_receiver(self) -> None:
        sentence = self.footer.facts.receiver.sentence
        if sentence:
            self.notices.show_cause("receiver", sentence, "warning", self.actions_by_name["settings"])
        else:
            self.notices.clear("receiver")

    def _show_facts(self, *_: object) -> None:
        if self.context is None:
            return
        running = self.context.running
        engine = running.engine
        site, site_in_short, site_needs_somebody = footer_words(running.points.in_use(), self.context.now())
        facts = FooterFacts(
            pack=running.pack.title,
            pack_status=running.pack.status_text,
            device=device_words(engine.device) if engine is not None else "",
            folders=self._watched_folders(),
            receiver=self._receiver_state(),
            free_bytes=self.footer.facts.free_bytes,
            reading_only=engine is None,
            site=site,
            site_in_short=site_in_short,
            site_needs_somebody=site_needs_somebody,
        )
        self.footer.show_facts(facts)

    def _look_for_device(self) -> None:
        """Show the device that the scorer has ended up with, once it has started."""
        self._show_facts()
        engine = self.context.running.engine if self.context is not None else None
        if engine is not None and engine.device == "auto":
            QTimer.singleShot(DEVICE_EVERY_MS, self, self._look_for_device)

    def _measure_disk(self) -> None:
        if self.context is None:
            return
        folder = self.context.running.place.parent
        self.jobs.run(lambda: _free_bytes(folder), self._measured, lane="disk", key="free")
        self._show_facts()

    def _measured(self, free: int | None) -> None:
        self.footer.show_facts(replace(self.footer.facts, free_bytes=free))

    def _tell_copying(self) -> None:
        if self._in_front == VIEWER:
            self.actions_by_name.enable("copy_picture")
        else:
            why = translate("Window", "Only the viewer has a picture to copy.")
            self.actions_by_name.disable("copy_picture", why)

    def _refused_by_key(self, why: str) -> None:
        if why:
            self.notices.say(why)

    def _tell_undo(self, *_: object) -> None:
        nothing = translate("Window", "There is nothing to take back."), translate("Window", "Nothing was taken back.")
        for name, possible, why in (
            ("undo", self.undo.canUndo(), nothing[0]),
            ("redo", self.undo.canRedo(), nothing[1]),
        ):
            if possible:
                self.actions_by_name.enable(name)
            else:
                self.actions_by_name.disable(name, why)

    def _peek(self, name: str, *, peeking: bool) -> None:
        """Show names while the key is held; each look is recorded (ux.md 12.2)."""
        if name != "peek" or self.context is None or not self.context.identities.hidden:
            return
        self.context.identities.peek(peeking)
        if peeking and self.context.writable:
            history, person = self.context.running.history, self.context.person()
            self.jobs.run(lambda: history.audit("names shown", details=person), _nothing)

    # --- sheets and the window itself ----------------------------------------------------------------------------

    def open_settings(self, group: str = "intake") -> QDialog:
        """Open the settings at a group."""
        from aicorona_desktop.ui.settings_dialog import SettingsDialog

        dialog = SettingsDialog(
            site=self.site,
            user=self.user,
            actions=self.actions_by_name,
            keeper=self.theme,
            facts=self.facts(),
            group=group,
            parent=self,
        )
        dialog.watched.follow(self._watched_folders, self.bridge.sources_changed, self._look_for_files)
        dialog.receiver.follow(self._receiver_state, self.bridge.sources_changed)
        dialog.storage.use(self.context)
        return self._opened_sheet(dialog)

    def open_help(self, *, about: bool = False) -> QDialog:
        """Open help for the place in front, or what the program is."""
        from aicorona_desktop.ui.help_sheet import HelpSheet

        sheet = HelpSheet(self.actions_by_name, self._in_front, self.facts(), self)
        if about:
            sheet.pages.setCurrentIndex(sheet.pages.count() - 1)
        return self._opened_sheet(sheet)

    def open_key_sheet(self) -> QDialog:
        """Open the sheet of all keys."""
        from aicorona_desktop.ui.key_sheet import KeySheet

        return self._opened_sheet(KeySheet(self.actions_by_name, self))

    def facts(self) -> dict[str, str]:
        """Return what is in use and where files lie, for Help and Settings."""
        if self.context is None:
            return {}
        running = self.context.running
        return {
            translate("Window", "Model pack"): f"{running.pack.title} ({running.pack.status_text})",
            translate("Window", "Device"): self.footer.words()["device"],
            translate("Window", "History"): str(running.place),
        }

    def restore_layout(self) -> None:
        """Put window, columns and panels back as they were at first."""
        self.user.forget_layout()
        self.setWindowState(Qt.WindowState.WindowNoState)
        self._place_anew()

    def bring_to_front(self) -> None:
        """Come to the front: a second start has asked for it."""
        self.setWindowState((self.windowState() & ~Qt.WindowState.WindowMinimized) | Qt.WindowState.WindowActive)
        self.raise_()
        self.activateWindow()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Keep what the user arranged, then stop everything: within two seconds, and nothing is lost."""
        event.accept()
        self.user.remember("window", self.saveGeometry())
        self.user.value = replace(self.user.value, last_place=self._in_front)
        self.hide()
        self.shut_down()

    def close_to_restore(self, copy: Path) -> None:
        """Close, so that a backup can take the place of the history; `main.run` then opens the window again."""
        self.restore_from = copy
        self.close()

    def shut_down(self) -> None:
        """End places, jobs and services, in this order, each whatever became of those before; once."""
        with contextlib.ExitStack() as backwards:
            backwards.callback(self.services.close)
            backwards.callback(self._keep_settings)
            backwards.callback(self.jobs.close, CLOSE_S)
            for place in self.places.values():
                backwards.callback(place.end)
            if self._in_front in self.places:
                backwards.callback(self.places[self._in_front].leave)
            backwards.callback(self.keys.end)
            backwards.callback(self._disk_timer.stop)
            self.places = {}
            self.context = None

    def _keep_settings(self) -> None:
        for choices in (self.user, self.site):
            with contextlib.suppress(AicoronaError):  # what can't be kept is not worth staying open for
                choices.flush()

    def _opened_sheet(self, sheet: QDialog) -> QDialog:
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()
        return sheet

    def _switch_full_screen(self) -> None:
        if self.isFullScreen():
            self.setWindowState(self._before_full_screen)
        else:
            self._before_full_screen = self.windowState()
            self.setWindowState(self._before_full_screen | Qt.WindowState.WindowFullScreen)
        self.actions_by_name["full_screen"].setChecked(self.isFullScreen())

    def _reset_text(self) -> None:
        self.theme.resize_text(0)
        if not self.screen().availableGeometry().contains(self.frameGeometry().center()):
            self._place_anew()

    def _restore_place_on_screen(self) -> None:
        if not self.restoreGeometry(self.user.recalled("window")):
            self._place_anew()

    def _place_anew(self) -> None:
        room = self.screen().availableGeometry()
        size = QSize(1480, 920).boundedTo(room.size() * 0.94)
        self.resize(size)
        self.move(room.center() - self.rect().center())


def device_words(device: str) -> str:
    """Return what a device of the scorer is called."""
    words = {
        "auto": translate("Window", "The model is being loaded"),
        "cpu": translate("Window", "Processor (CPU)"),
        "cuda": translate("Window", "Graphics card (CUDA)"),
        "dml": translate("Window", "Graphics card (DirectML)"),
        "openvino": translate("Window", "Processor (OpenVINO)"),
        "openvino-bf16": translate("Window", "Processor (OpenVINO, bfloat16)"),
    }
    return words.get(device, device)


def _local_paths(event: QDropEvent) -> tuple[Path, ...]:
    return tuple(Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile())


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _application() -> QApplication:
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        raise RuntimeError("the window needs a QApplication")  # noqa: TRY004 - not the caller's argument
    return application


def _nothing(_: object) -> None:
    pass


def _notice_text(finding: Finding, seconds: float | None = None) -> str:
    """Return what a person needs to know of the machine: what happened, what goes on, what to do (ux.md 13)."""
    if finding.reason is Reason.PROVIDER_LEFT and seconds is None:
        words = translate(
            "Window", "The graphics card stopped ({name}). Scoring goes on with the processor, more slowly."
        )
        return words.format(name=finding.name)
    if finding.reason is Reason.PROVIDER_LEFT and seconds is not None:
        words = translate(
            "Window",
            "The graphics card stopped ({name}). Scoring goes on with the processor, about {seconds} s per study.",
        )
        return words.format(name=finding.name, seconds=QLocale().toString(max(1, round(seconds))))
    if finding.reason is Reason.DISK_NEARLY_FULL and finding.found is not None:
        words = translate(
            "Window", "{left} GB left. No new files are taken in. Reading and scoring go on. Free space on this disk."
        )
        return words.format(left=QLocale().toString(finding.found / 1000, "f", 1))
    return finding_text(finding)


def _seconds_on_processor(reading: History, uids: frozenset[str]) -> float | None:
    """Return how long the slowest of these studies took that the processor has scored to the end, if there is one."""
    results = [reading.result(uid) for uid in uids]
    scores = [one.score for one in results if one is not None and not one.score.preliminary]
    # Reading and scoring overlap.
    return max((max(one.seconds_read, one.seconds_infer) for one in scores if one.provider == "cpu"), default=None)
