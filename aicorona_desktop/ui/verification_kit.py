"""The kit: known studies and their labels are chosen, looked over, scored behind the clinic's work (ux.md 8.1)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QStandardPaths, Signal
from PySide6.QtWidgets import QFileDialog, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QProgressBar, QWidget

from aicorona_desktop.app.verification_labels import TEMPLATE, Matching, list_studies, match, read_labels
from aicorona_desktop.app.verification_run import Neighbours, Progress, RunPlace, score_known
from aicorona_desktop.core.durable import write_file
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import VerificationRun
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.fold import Line, Lines
from aicorona_desktop.ui.jobs import Job, cancelled
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.site_words import number
from aicorona_desktop.ui.verification_parts import Page, allow, button
from aicorona_desktop.ui.verification_words import matching_lines, progress_text

translate = QCoreApplication.translate

LANE = "known studies"


class KitPage(Page):
    """Folder, table, what of them fits together, and the run; `ended` gives the number of a run with nothing left."""

    ended = Signal(int)

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("verification_kit", parent)
        self.context = context
        self.matching: Matching | None = None
        self.run: VerificationRun | None = None
        self._stop = threading.Event()
        self._job: Job | None = None
        self._looking: Job | None = None
        self._make_choice()
        self._make_run()
        self.needs = Lines("verification_needs")
        self.needs.show_lines(needs_lines())
        self.add_group("choice", translate("Verification", "Known studies and their labels"), [self._choice], None)
        self.add_group("matching", translate("Verification", "What fits together"), [self.preview], None)
        self.add_group("run", translate("Verification", "Score them"), [self._run], None)
        self.add_group("needs", translate("Verification", "What a verification needs"), [self.needs], context.user)
        self.close_column()
        self._show_state()

    # --- making ----------------------------------------------------------------------------------------------------

    def _make_choice(self) -> None:
        self.folder, self.table = QLineEdit(self), QLineEdit(self)
        self._choice = QWidget()
        grid = QGridLayout(self._choice)
        grid.setContentsMargins(0, 0, 0, 0)
        rows: tuple[tuple[str, QLineEdit, str, Callable[[], None]], ...] = (
            ("kit_folder", self.folder, translate("Verification", "Folder of the studies"), self._choose_folder),
            ("kit_table", self.table, translate("Verification", "Table of labels (CSV)"), self._choose_table),
        )
        for place, (name, field, title, choose) in enumerate(rows):
            field.setObjectName(name)
            field.setAccessibleName(title)
            field.editingFinished.connect(self._changed)
            label = QLabel(title, self)
            label.setBuddy(field)
            grid.addWidget(label, place, 0)
            grid.addWidget(field, place, 1)
            opened = button(f"{name}_choose", translate("Verification", "Choose…"), choose, self)
            opened.setAccessibleName(translate("Verification", "Choose: {what}").format(what=title))
            grid.addWidget(opened, place, 2)
        below = QHBoxLayout()
        self.look = button("kit_look", translate("Verification", "Look them over"), self.look_over, self)
        self.template = button(
            "kit_template", translate("Verification", "Write an example table…"), self._ask_template, self
        )
        below.addWidget(self.look)
        below.addWidget(self.template)
        below.addStretch(1)
        grid.addLayout(below, len(rows), 1, 1, 2)
        self.preview = Lines("kit_preview")

    def _make_run(self) -> None:
        self._run = QWidget()
        grid = QGridLayout(self._run)
        grid.setContentsMargins(0, 0, 0, 0)
        self.start = button("kit_start", translate("Verification", "Score the known studies"), self.start_run, self)
        self.stop = button("kit_stop", translate("Verification", "Stop"), self.stop_run, self)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(translate("Verification", "How far the known studies are scored"))
        self.said = plain(QLabel(self))
        self.said.setObjectName("kit_said")
        self.said.setWordWrap(True)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start)
        buttons.addWidget(self.stop)
        buttons.addStretch(1)
        grid.addLayout(buttons, 0, 0)
        grid.addWidget(self.bar, 1, 0)
        grid.addWidget(self.said, 2, 0)

    # --- choosing --------------------------------------------------------------------------------------------------

    def _choose_folder(self) -> None:
        title = translate("Verification", "Folder of the known studies")
        if chosen := QFileDialog.getExistingDirectory(self, title, self.folder.text() or _documents()):
            self.folder.setText(chosen)
            self._changed()

    def _choose_table(self) -> None:
        title = translate("Verification", "Table of labels")
        chosen, _ = QFileDialog.getOpenFileName(self, title, self.table.text() or _documents(), "CSV (*.csv)")
        if chosen:
            self.table.setText(chosen)
            self._changed()

    def _ask_template(self) -> None:
        title = translate("Verification", "Where to write the example table")
        place = str(Path(_documents()) / "labels.csv")
        chosen, _ = QFileDialog.getSaveFileName(self, title, place, "CSV (*.csv)")
        if chosen:
            self.write_template(Path(chosen))

    def write_template(self, path: Path) -> None:
        """Write an example of the table."""
        try:
            write_file(path, TEMPLATE.encode())
        except OSError:
            self.say.emit(translate("Verification", "The example could not be written; is the folder closed?"))
            return
        self.say.emit(translate("Verification", "The example was written to {place}.").format(place=path.name))

    def _changed(self) -> None:
        """What was looked over is not what is chosen now."""
        if self.matching is not None and not self.is_running:
            self.matching = None
            self.preview.show_lines(())
        self._show_state()

    def look_over(self) -> None:
        """Read table and headers, and say what of them fits together."""
        folder, table = Path(self.folder.text().strip()), Path(self.table.text().strip())
        self.matching = None
        self.preview.show_lines((Line(translate("Verification", "The studies are being looked over…")),))

        def work(give: Callable[[object], None]) -> None:
            rows = read_labels(table)
            with Reader() as reader:
                studies = list_studies(folder, reader, give, cancelled)
            give(match(rows, studies))

        self._looking = self.context.jobs.stream(
            work, self._looked, self._show_state, self._not_looked, lane=LANE, key="look", owner=self
        )
        self._show_state()

    def _looked(self, item: object) -> None:
        if isinstance(item, Matching):
            self.matching = item
            self.preview.show_lines(matching_lines(item))
        else:
            text = translate("Verification", "{files} looked over…").format(files=words.files_counted(int(str(item))))
            self.preview.show_lines((Line(text),))

    def _not_looked(self, sentence: str) -> None:
        self.preview.show_lines([Line(one, strong=True) for one in sentence.splitlines()])
        self._show_state()

    # --- the run ---------------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether known studies are being scored."""
        return self._job is not None and not self._job.finished

    def enter(self) -> None:
        """See whether a run of an earlier session is left unfinished."""
        if self.is_running:
            return
        reading = self.context.reading
        self.context.jobs.run(
            reading.newest_verification_run, self._show_newest, self.say.emit, key="verification run", owner=self
        )

    def _show_newest(self, run: VerificationRun | None) -> None:
        self.run = run
        self._show_state()

    def start_run(self) -> None:
        """Begin a run over what was looked over, or go on with the one that is left."""
        if self.matching is not None:
            self._begin(self.matching)
        elif self.run is not None and self.run.ended_at is None:
            number_of_run = self.run.number
            self._score(lambda: number_of_run)

    def _begin(self, matching: Matching) -> None:
        running, person, folder = self.context.running, self.context.person(), self.folder.text().strip()

        def begin() -> int:
            pack = running.pack
            running.history.record_pack(pack.sha256, pack.title, pack.status)
            return running.history.begin_verification_run(folder, pack.sha256, matching.labelled, person)

        self._score(begin, matching)

    def _score(self, begin: Callable[[], int], matching: Matching | None = None) -> None:
        running, settings, stop = self.context.running, self.context.site.value, self._stop
        stop.clear()

        def is_busy() -> bool:
            return running.engine is not None and not running.engine.wait_until_idle(0)

        def work(give: Callable[[object], None]) -> None:
            known = begin()
            place = RunPlace(running.place, known)
            if matching is not None:
                place.lay_down({study.study_instance_uid: study.paths for study in matching.studies})
            if score_known(place, running.pack, settings, Neighbours(is_busy, stop.is_set), give):
                running.history.end_verification_run(known)
                give(known)

        self.said.setText(translate("Verification", "The model is being loaded…"))
        self._job = self.context.jobs.stream(
            work, self._told, self._over, self._failed, lane=LANE, key="score", owner=self
        )
        self._show_state()

    def stop_run(self) -> None:
        """Stop after the slice under way; what is scored is kept."""
        self._stop.set()
        self.said.setText(translate("Verification", "Stopping…"))

    def end(self) -> None:
        """Let go of the run; the next start goes on with it."""
        self._stop.set()
        for job in (self._job, self._looking):
            if job is not None:
                job.cancel()

    def _told(self, item: object) -> None:
        if isinstance(item, Progress):
            self.bar.setRange(0, max(1, item.studies))
            self.bar.setValue(item.done)
            self.said.setText(progress_text(item))
        elif isinstance(item, int):
            self.matching = None
            self.preview.show_lines(())
            self.ended.emit(item)

    def _over(self) -> None:
        self.enter()

    def _failed(self, sentence: str) -> None:
        self._over()
        self.said.setText(sentence)

    # --- what may be done now ----------------------------------------------------------------------------------------

    def _show_state(self) -> None:
        left = self.run if self.run is not None and self.run.ended_at is None else None
        goes_on = self.matching is None and left is not None
        self.start.setText(
            translate("Verification", "Go on with the run")
            if goes_on
            else translate("Verification", "Score the known studies")
        )
        allow(self.look, self._why_no_look())
        allow(self.start, self._why_no_start(goes_on=goes_on))
        self.stop.setVisible(self.is_running)
        self.bar.setVisible(self.is_running)
        if goes_on and left is not None and not self.is_running:
            text = translate("Verification", "The run of {day} over {studies} is not finished.")
            day = words.moment_text(left.at)
            self.said.setText(text.format(day=day, studies=words.studies_counted(len(left.labels))))
        elif not self.is_running and not self.said.text().endswith("."):
            self.said.setText("")

    def _why_no_look(self) -> str:
        if self.is_running:
            return translate("Verification", "Known studies are being scored.")
        if not Path(self.folder.text().strip() or "?").is_dir():
            return translate("Verification", "Choose the folder of the studies first.")
        if not Path(self.table.text().strip() or "?").is_file():
            return translate("Verification", "Choose the table of labels first.")
        return ""

    def _why_no_start(self, *, goes_on: bool) -> str:
        if self.context.running.engine is None:
            return translate("Verification", "This copy of the program is for reading only.")
        if self.is_running:
            return translate("Verification", "Known studies are being scored.")
        if goes_on:
            return self._why_not_on()
        if self.matching is None:
            return translate("Verification", "Look the studies over first.")
        if not self.matching.labelled:
            return translate("Verification", "No study has a label.")
        return ""

    def _why_not_on(self) -> str:
        if self.run is not None and self.run.pack_sha256 != self.context.running.pack.sha256:
            return translate("Verification", "The run was begun with another model pack; begin a new one.")
        return ""


def needs_lines() -> list[Line]:
    """Return what a verification of the site asks for."""
    return [
        Line(text)
        for text in (
            translate(
                "Verification",
                "Labelled studies of this site: a folder, and a table that names for each study what it was, "
                "by RT-PCR, by a radiologist's report or by follow-up: normal, cp (also nca, other) or covid.",
            ),
            translate(
                "Verification",
                "Enough of each kind: with few studies the intervals are wide, and the result says little. "
                "An operating point can be set from {fewest} with COVID-19 and {fewest} others.",
            ).format(fewest=number(10)),
            translate(
                "Verification",
                "A named person who chooses the operating point: how many are caught, and how many others go to "
                "the top for it.",
            ),
            translate(
                "Verification",
                "The known studies stay where they are and never stand in the list. Studies of the list go first.",
            ),
            translate(
                "Verification",
                "It lapses with another pack, device or preparation, and after twelve months.",
            ),
        )
    ]


def _documents() -> str:
    return QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
