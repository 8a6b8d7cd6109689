"""Pictures of every main state of the window, in light and dark at 100 % and 200 %.

    python tests/screenshots/make.py OUT [--only NAME ...] [--looks dark-1 light-2 ...] [--real FOLDER]

The window is the real one, over the real engine and studies made of numbers: it is run once by itself to score
them, and then, over copies of that history, once a look, each in a process of its own, for Qt reads the scale at
the start. A state that can't be caused here (a graphics card that fails, a full disk) is told to the window as the
engine would tell it. `--real` adds two pictures of other studies; those are not for publishing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PySide6.QtWidgets import QWidget

    from aicorona_desktop.history.store import History
    from aicorona_desktop.ui.main_window import MainWindow
    from aicorona_desktop.ui.viewer_place import ViewerPlace
    from tests.phantom import Chest

SHOTS = {
    "empty": "A list without any study: three ways in, and the demo",
    "acknowledge": "The notice, to be read once by each user for each pack",
    "live": "Studies appear and rank themselves while they are read and scored",
    "list": "The lanes: needs a person (too few slices, damaged, codec missing, doubtful), overdue, ranked",
    "list-folded-out": "A row folded out: the other classes, why it is here, files and notes; read and set-aside lanes",
    "list-two-lines": "The list with two lines a row",
    "list-large-text": "The list with text of 150 %",
    "list-hidden-names": "The list with codes in place of names",
    "list-pill": "A new order waits for a click",
    "list-sorted": "Sorted by a column, with the way back to priority order",
    "quick-look": "The quick look beside the list",
    "all-read": "All studies are read",
    "filter-hides-all": "A filter that hides every study",
    "folder-lost": "A watched folder that can't be reached: amber in the footer",
    "folder-refused": "A watched folder that refuses access",
    "device-lost": "The graphics card failed: one quiet bar",
    "disk-nearly-full": "The disk is nearly full: one quiet bar",
    "import-table": "What became of every file of an import",
    "disc-asked": "A disc with DICOM was put in: asked once",
    "disc-copied": "A disc is copied; a part of it can't be read so far",
    "disc-away": "A disc was taken out too early",
    "disc-safe": "A disc is copied and checked: safe to remove",
    "read-only": "A history that another copy has open: for reading only",
    "look-first": "Score and map covered until the own impression is given",
    "viewer-empty": "The viewer without a study",
    "viewer": "A study as it opens: middle of the lungs, lung window, no map",
    "viewer-map": "The map over the slice, with its bar and its sum",
    "viewer-map-raw": "The map as the grid that it is",
    "viewer-map-beside": "Plain and map side by side",
    "viewer-prior-beside": "Current and prior study side by side",
    "viewer-reformats": "Coronal and sagittal planes with cross-lines",
    "viewer-measures": "Distance, probe, ellipse with histogram, rectangle",
    "viewer-bad-slice": "A slice whose pixels can't be read, hatched with its reason",
    "viewer-model": "The slice as the model sees it",
    "viewer-least-text": "Corner text at its least: identity and slice",
    "viewer-hidden-names": "The viewer with a code in place of the name",
    "viewer-unscored": "A study that could not be scored, and what to do",
    "viewer-codec": "A study in a compression that this version cannot open",
    "panel-contributions": "The slices that moved the score, and the score without them",
    "panel-model": "Suitability, model, device, files and earlier scores of a study",
    "verdict": "Own impression and action, filled in",
    "verdict-saved": "The own impression as it stands after saving",
    "history": "The history with the trail of a study",
    "verification": "Verification: how it stands",
    "verification-kit": "Verification: known studies and labels, looked over",
    "verification-running": "Verification: known studies are being scored",
    "verification-result": "Verification: the curve of known studies, the point with its cost in words",
    "verification-figures": "Verification: figures, confusion, the person who sets the point",
    "verification-errors": "Verification: missed, false alarms, groups, studies without a score",
    "verification-known-study": "A known study, opened from the list of errors",
    "verification-certificate": "Verification: the certificate that holds",
    "verification-lapsed": "Verification: the certificate of another device, lapsed",
    "verification-month": "Verification: one month, a drift told",
    "verification-waits": "Verification: agreement, and waits against order of arrival",
    "reader-study": "Reader studies: readers, how far each has come, what can be done",
    "reader-study-setup": "A reader study is laid down: cases, readers, rules",
    "reader-study-unaided": "Reading without the model: a code for a name, no score, no map",
    "reader-study-aided": "Reading with the model: its score, and its map over the slice",
    "reader-study-pause": "The forced pause between two parts",
    "reader-study-figures": "Results: figures of model and readers with intervals",
    "reader-study-charts": "Results: the curve with hollow and filled marks, figures with intervals",
    "reader-study-tests": "Results: paired tests with raw and adjusted p",
    "settings-intake": "Settings: intake",
    "settings-watched": "Settings: three watched folders, one of them lost",
    "settings-receiver": "Settings: the DICOM receiver, switched on for two senders",
    "settings-order": "Settings: order and alerts",
    "settings-viewer": "Settings: viewer",
    "settings-keys": "Settings: keys and mouse",
    "settings-model": "Settings: model and device",
    "settings-privacy": "Settings: privacy",
    "settings-look": "Settings: language and look",
    "settings-storage": "Settings: storage, with a rule that is not switched on yet",
    "settings-backup": "Settings: backup",
    "versions": "Two versions of the same images side by side, and the choice between them",
    "versions-taken-back": "The choice between two versions in the trail of the history",
    "keys": "The sheet of all keys",
    "help": "Help for the place in front",
    "about": "What the program is, its pack and where its files lie",
}
"""Every picture that is made, by its name, and what it shows."""

REAL = {"real-list": "The list over other studies", "real-viewer": "The first of other studies"}
LOOKS = ("dark-1", "light-1", "dark-2", "light-2")
SIZE = (1280, 720)
DAMAGED = "damaged"


# --- studies made of numbers ----------------------------------------------------------------------------------


def write_studies(folder: Path) -> None:
    """Write the studies of the pictures, each in a folder of its own."""
    from aicorona_desktop.app.demo import write_demo
    from tests.phantom import chest

    write_demo(folder)
    early = {
        "PatientName": "Demo^Marked",
        "PatientID": "DEMO-2",
        "PatientSex": "M",
        "PatientAge": "060Y",
        "PatientBirthDate": "19650101",
    }
    small = chest().with_slices(40, 7.5).with_matrix(256)
    write_study(folder / "prior", small.named("prior").with_seed(22).with_ground_glass(0.25), "20251102", **early)
    write_study(folder / "severe", small.named("severe").with_seed(23).with_ground_glass(1.0), "20260106")
    write_study(folder / "patchy", small.named("patchy").with_seed(24).with_ground_glass(0.5), "20260107")
    write_study(folder / "no-finding", small.named("no-finding").with_seed(25), "20260108")
    few = small.with_slices(24, 11.0).with_matrix(128)
    damaged = write_study(folder / DAMAGED, few.named("damaged").with_seed(26), "20260109")
    for file in sorted(damaged.glob("*.dcm"))[9:12]:
        file.write_bytes(file.read_bytes()[:-5000])
    codec = write_study(folder / "codec", few.named("codec").with_seed(27), "20260110")
    for file in codec.glob("*.dcm"):
        file.write_bytes(with_transfer_syntax(file.read_bytes(), "1.2.840.10008.1.2.4.102"))
    (folder / "severe" / "viewer.exe").write_bytes(b"MZ" + bytes(500))
    (folder / "severe" / "read me.txt").write_text("Images of the disc\n")


def write_study(folder: Path, chest: Chest, day: str, **tags: str) -> Path:
    """Write one study with a patient of its own."""
    name = chest.name.replace("-", " ").title().replace(" ", "")
    common = {
        "PatientName": f"Phantom^{name}",
        "PatientID": f"PH-{chest.thorax.seed:04d}",
        "PatientSex": "F" if chest.thorax.seed % 2 else "M",
        "PatientAge": f"{30 + chest.thorax.seed:03d}Y",
        "PatientBirthDate": f"{int(day[:4]) - 30 - chest.thorax.seed}0101",
        "StudyDate": day,
        "StudyTime": "091500",
        "SeriesDescription": "AXIAL 5.0",
        "StudyDescription": "CT CHEST",
        "ConvolutionKernel": "STANDARD",
        "InstitutionName": "Synthetic phantom",
    }
    return chest.with_tags(**{**common, **tags}).written_to(folder)


def with_transfer_syntax(content: bytes, uid: str) -> bytes:
    """Return a file that says it is written in another transfer syntax."""
    at = content.index(b"\x02\x00\x10\x00UI")
    old = int.from_bytes(content[at + 6 : at + 8], "little")
    value = uid.encode() + b"\0" * (len(uid) % 2)
    changed = content[: at + 6] + len(value).to_bytes(2, "little") + value + content[at + 8 + old :]
    group = changed.index(b"\x02\x00\x00\x00UL") + 8
    length = int.from_bytes(changed[group : group + 4], "little") + len(value) - old
    return changed[:group] + length.to_bytes(4, "little") + changed[group + 4 :]


def score_studies(studies: Path, program: Path) -> None:
    """Have the engine read and score everything below a folder, and people say what they said."""
    from aicorona_desktop.app.services import Wishes, running
    from aicorona_desktop.core.settings import Settings

    place = program / "history.sqlite"
    wishes = Wishes(history=place, settings=Settings(quiet_time_s=0, poll_s=0.3))
    with running(wishes, lambda _: None, say_aloud) as parts:
        assert parts.engine is not None
        parts.engine.submit([studies], studies.name)
        if not parts.engine.wait_until_idle(600):
            raise SystemExit("The studies were not scored within ten minutes.")
        if (studies / DAMAGED).is_dir():
            say(parts.history)


def say(history: History) -> None:
    """Record what a person could have said of two studies."""
    from aicorona_desktop.history.values import OutcomeKind

    rows = {row.patient_name: row.study_instance_uid for row in history.rows()}
    read = rows["Demo^OneSided"]
    history.save_verdict(read, impression="covid", action="routine", note="Basal, one side", initials="AB")
    history.save_verdict(read, impression="cp", action="now", note="Right lower lobe", initials="AB", slices_seen=0.62)
    history.record_escalation(read, "Dr. Example", "AB", "by telephone")
    history.record_outcome(read, OutcomeKind.RT_PCR, "neg", source="Laboratory", dated=date(2026, 1, 8), initials="AB")
    history.save_verdict(rows["Demo^Clear"], impression="normal", action="routine", initials="CD", slices_seen=1.0)
    history.add_note(rows["Phantom^Patchy"], "Comes back on Friday", "CD")


def spread_arrivals(place: Path) -> None:
    """Let the studies have arrived one after the other, one of them too long ago."""
    now = datetime.now(UTC)
    with closing(sqlite3.connect(place)) as connection, connection:
        studies = connection.execute("SELECT sequence, patient_name FROM study ORDER BY sequence").fetchall()
        for number, (sequence, name) in enumerate(studies):
            minutes = 67 if name == "Demo^Mild" else 4 + 5 * (number % 11)
            at = (now - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            connection.execute("UPDATE study SET received_at = ? WHERE sequence = ?", (at, sequence))


# --- one look, in a process of its own ------------------------------------------------------------------------


@dataclass
class Camera:
    """Takes the pictures of one look that are wanted, and knows which it took."""

    out: Path
    look: str
    only: frozenset[str]
    taken: set[str]

    def wants(self, *names: str) -> bool:
        """Whether one of these pictures is to be taken."""
        return not self.only or bool(self.only & set(names))

    def shot(self, name: str, window: MainWindow, sheet: QWidget | None = None) -> None:
        """Take the window, with a sheet over it if there is one."""
        from PySide6.QtGui import QPainter

        if name not in SHOTS and name not in REAL:
            raise KeyError(name)
        if self.only and name not in self.only:
            return
        pump(0.25)
        picture = window.grab()
        if sheet is not None:
            x, y = (window.width() - sheet.width()) // 2, (window.height() - sheet.height()) // 2
            if x < 0 or y < 0:
                say_aloud(
                    f"{self.look}/{name}: the sheet of {sheet.width()} x {sheet.height()} is larger than the window"
                )
            painter = QPainter(picture)
            painter.drawPixmap(x, y, sheet.grab())
            painter.end()
        folder = self.out / self.look
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(str(folder / f"{name}.png"))
        self.taken.add(name)


def say_aloud(sentence: str) -> None:
    """Tell who started the script."""
    sys.stderr.write(sentence + "\n")


def pump(seconds: float) -> None:
    """Let the window work for a while."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def until(holds: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Let the window work until something holds."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            raise SystemExit(f"Waited {seconds:.0f} s in vain for: {what}")
        pump(0.02)


@contextmanager
def opened(
    base: Path | None,
    look: str,
    *,
    acknowledged: bool = True,
    wait: bool = True,
    spread: bool = True,
    site: Any = None,
    **user: Any,
) -> Iterator[MainWindow]:
    """Open a window over a copy of a program's folder, or over an empty one; `spread` as `spread_arrivals` does."""
    from aicorona_desktop.app.services import Wishes
    from aicorona_desktop.core.settings import Settings
    from aicorona_desktop.core.user_settings import Theme, UserSettings, save_user_settings
    from aicorona_desktop.model.pack import default_pack
    from aicorona_desktop.ui.main_window import MainWindow

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "program"
        if base is None:
            folder.mkdir()
        else:
            shutil.copytree(base, folder)
            if spread:
                spread_arrivals(folder / "history.sqlite")
        settings = UserSettings(theme=Theme(look.split("-")[0]), initials="AB", **user)
        if acknowledged:
            settings = settings.with_acknowledged(default_pack().sha256)
        save_user_settings(settings, folder)
        window = MainWindow(Wishes(history=folder / "history.sqlite", settings=site or Settings()), folder)
        window.resize(*SIZE)
        ready: list[int] = []
        window.ready.connect(lambda: ready.append(1))
        window.show()
        if wait:
            until(lambda: ready, "the window")
            until(lambda: worklist(window).live.is_loaded, "the list")
            until(lambda: window.footer.facts.device not in ("", "The model is being loaded"), "the device")
        try:
            yield window
        finally:
            window.close()
            window.deleteLater()
            pump(0.05)


def worklist(window: MainWindow) -> Any:
    """Return the list of a window."""
    return window.places["worklist"]


def viewer(window: MainWindow) -> ViewerPlace:
    """Return the viewer of a window."""
    from aicorona_desktop.ui.viewer_place import ViewerPlace

    place = window.places["viewer"]
    assert isinstance(place, ViewerPlace)
    return place


def press(window: MainWindow, *names: str) -> None:
    """Do what the keys of some actions do."""
    for name in names:
        window.actions_by_name.ask(name)
        window.actions_by_name.let_go(name)
        pump(0.05)


def uid_of_patient(window: MainWindow, name: str) -> str:
    """Return the newest study of a patient, by name or ID."""
    assert window.context is not None
    rows = [row for row in window.context.reading.rows() if name in (row.patient_name, row.patient_id)]
    return max(rows, key=lambda row: row.study_date).study_instance_uid


def show_study(window: MainWindow, name: str) -> ViewerPlace:
    """Open a patient's study and wait until all of it is there."""
    from aicorona_desktop.ui.slice_store import Mark

    place = viewer(window)
    window.open_study(uid_of_patient(window, name))
    until(lambda: place.viewed is not None, "the study")
    until(lambda: place._store is None or (place._store.marks != Mark.WAITING).all(), "the slices")
    pump(0.6)
    return place


def with_map(window: MainWindow) -> ViewerPlace:
    """Open the first study and switch its map on."""
    place = show_study(window, "Demo^Marked")
    press(window, "viewer.map")
    until(lambda: place.maps.limits(place.state.map_class) is not None, "the map")
    pump(0.4)
    return place


# --- scenes: each opens a window and takes one or more pictures ---------------------------------------------------


def nothing_yet(camera: Camera, data: Data) -> None:
    with opened(None, camera.look) as window:
        camera.shot("empty", window)
        press(window, "place.viewer")
        camera.shot("viewer-empty", window)
        press(window, "place.worklist", "help")
        camera.shot("help", window, last_sheet(window))


def first_run(camera: Camera, data: Data) -> None:
    with opened(None, camera.look, acknowledged=False, wait=False) as window:
        until(lambda: last_sheet(window) is not None, "the notice")
        camera.shot("acknowledge", window, last_sheet(window))


def live(camera: Camera, data: Data) -> None:
    from aicorona_desktop.core.settings import Settings

    with opened(None, camera.look, site=Settings(quiet_time_s=1)) as window:
        window.submit([data.studies])
        model = worklist(window).model
        until(lambda: sum(row.preliminary or bool(row.probabilities) for row in shown_rows(model)) >= 2, "scores", 120)
        camera.shot("live", window)


def the_list(camera: Camera, data: Data) -> None:
    with opened(data.program, camera.look) as window:
        place = worklist(window)
        place.go_to(uid_of_patient(window, "Phantom^Severe"))
        camera.shot("list", window)
        press(window, "worklist.quick_look")
        until(lambda: all(tile.picture is not None for tile in place.quick_look.tiles), "nine tiles")
        camera.shot("quick-look", window)
        press(window, "worklist.quick_look", "worklist.unfold")
        unfold_last_lanes(place)
        camera.shot("list-folded-out", window)
        press(window, "worklist.fold", "hide_names")
        camera.shot("list-hidden-names", window)
        press(window, "hide_names")
        place._sort_by(1)
        pump(0.4)
        camera.shot("list-sorted", window)
        place._return_to_priority()
        place.filters.search.setText("smith 12")
        pump(1.0)
        camera.shot("filter-hides-all", window)
        place.filters.clear()


def the_pill(camera: Camera, data: Data) -> None:
    with opened(data.program, camera.look) as window:
        place = worklist(window)
        place.go_to(uid_of_patient(window, "Phantom^Patchy"))
        assert window.context is not None
        window.context.running.history.pin(uid_of_patient(window, "Phantom^Patchy"), "AB")
        place.live.key_pressed()
        place.live.refresh()
        until(place.pill.isVisible, "the pill")
        camera.shot("list-pill", window)


def other_lists(camera: Camera, data: Data) -> None:
    if camera.wants("list-two-lines"):
        with opened(data.program, camera.look, two_line_rows=True) as window:
            camera.shot("list-two-lines", window)
    if camera.wants("list-large-text"):
        with opened(data.program, camera.look, text_percent=150) as window:
            camera.shot("list-large-text", window)


def all_read(camera: Camera, data: Data) -> None:
    with opened(data.program, camera.look) as window:
        assert window.context is not None
        history = window.context.running.history
        for row in history.rows():
            history.save_verdict(row.study_instance_uid, impression="normal", action="routine", initials="AB")
        worklist(window).live.apply()
        pump(0.6)
        camera.shot("all-read", window)


def folders(camera: Camera, data: Data) -> None:
    from aicorona_desktop.core.events import WatchedFolder, WatchState
    from aicorona_desktop.core.settings import Settings
    from aicorona_desktop.core.sources import WatchedSource

    quick = opened(data.program, camera.look, site=Settings(poll_s=0.3))
    with tempfile.TemporaryDirectory() as temporary, quick as window:
        folder = Path(temporary) / "CT"
        folder.mkdir()
        window.site.change(watched=(WatchedSource(folder),))
        until(lambda: window.footer.facts.folders, "the folder")
        folder.rmdir()
        until(lambda: window.footer.facts.folders[0].state is WatchState.LOST, "the folder to be lost")
        camera.shot("folder-lost", window)
        assert window.context is not None
        assert window.context.running.engine is not None
        refused = WatchedFolder(folder, WatchState.REFUSED, datetime.now(UTC))
        window.context.running.engine.watching = lambda: (refused,)  # type: ignore[method-assign]
        window.bridge.sources_changed.emit()
        camera.shot("folder-refused", window)


def notices(camera: Camera, data: Data) -> None:
    from aicorona_desktop.core.events import Notice
    from aicorona_desktop.core.findings import Finding, Outcome, Reason

    with opened(data.program, camera.look) as window:
        window.bridge(Notice(Finding(Outcome.WARNED, Reason.PROVIDER_LEFT, name="CUDA")))
        pump(0.3)
        camera.shot("device-lost", window)
        window.notices.clear(Reason.PROVIDER_LEFT.name)
        window.bridge(Notice(Finding(Outcome.WARNED, Reason.DISK_NEARLY_FULL, found=412.0, needed=2048.0)))
        pump(0.3)
        window.footer.show_facts(replace(window.footer.facts, free_bytes=412_000_000))
        camera.shot("disk-nearly-full", window)


def import_table(camera: Camera, data: Data) -> None:
    with opened(None, camera.look) as window:
        window.submit([data.studies])
        line = worklist(window).import_line
        until(lambda: line.summaries, "the import", 120)
        sheet = line.show_table()
        pump(0.3)
        camera.shot("import-table", window, sheet)
        sheet.close()


def discs(camera: Camera, data: Data) -> None:
    from aicorona_desktop.core.discs import CopyProgress, Phase
    from aicorona_desktop.core.events import DiscProgress
    from aicorona_desktop.intake.media import Medium, MediumKind, MediumLook
    from aicorona_desktop.ui.media_dialog import MediumSeen

    with opened(data.program, camera.look) as window:
        disc = Medium(data.studies, MediumKind.DISC, "CHEST_CD")
        window.discs._ask(MediumSeen(disc, "a mark", MediumLook(True, 1240, 652_000_000)))
        pump(0.5)
        camera.shot("disc-asked", window, last_sheet(window))
        assert window.discs.sheet is not None
        window.discs.sheet.reject()
        half = CopyProgress(Phase.COPYING, 1240, 412, 3, 0, 652_000_000, 217_000_000, seconds_left=131.0)
        for name, progress in (
            ("disc-copied", half),
            ("disc-away", replace(half, phase=Phase.AWAY)),
            ("disc-safe", CopyProgress(Phase.SAFE, 1240, 1238, 0, 2, 652_000_000, 651_000_000, bytes_lost=5120)),
        ):
            window.bridge(DiscProgress(7, "CHEST_CD", progress))
            pump(0.5)
            camera.shot(name, window)


def read_only(camera: Camera, data: Data) -> None:
    from aicorona_desktop.history.store import History

    with opened(data.program, camera.look) as window:
        assert window.context is not None
        place = window.context.running.place
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / "program"
            shutil.copytree(data.program, copy)
            with History.open(copy / place.name), second_window(copy, camera.look) as other:
                camera.shot("read-only", other)


@contextmanager
def second_window(folder: Path, look: str) -> Iterator[MainWindow]:
    from aicorona_desktop.app.services import Wishes
    from aicorona_desktop.core.user_settings import Theme, UserSettings, save_user_settings
    from aicorona_desktop.model.pack import default_pack
    from aicorona_desktop.ui.main_window import MainWindow

    settings = UserSettings(theme=Theme(look.split("-")[0])).with_acknowledged(default_pack().sha256)
    save_user_settings(settings, folder)
    window = MainWindow(Wishes(history=folder / "history.sqlite"), folder)
    window.resize(*SIZE)
    window.show()
    until(lambda: "worklist" in window.places and worklist(window).live.is_loaded, "the list")
    pump(0.3)
    try:
        yield window
    finally:
        window.close()
        window.deleteLater()


def look_first(camera: Camera, data: Data) -> None:
    from aicorona_desktop.core.settings import Settings

    with opened(data.program, camera.look, site=Settings(look_first=True)) as window:
        show_study(window, "Demo^Marked")
        camera.shot("look-first", window)


def pictures(camera: Camera, data: Data) -> None:
    with opened(data.program, camera.look) as window:
        place = show_study(window, "Demo^Marked")
        camera.shot("viewer", window)
        press(window, "viewer.corner_text")
        camera.shot("viewer-least-text", window)
        press(window, "viewer.corner_text", "hide_names")
        camera.shot("viewer-hidden-names", window)
        press(window, "hide_names", "viewer.preset_8")
        pump(0.4)
        camera.shot("viewer-model", window)
        press(window, "viewer.preset_1", "viewer.reformats")
        pump(0.6)
        camera.shot("viewer-reformats", window)
        press(window, "viewer.reformats", "viewer.prior_beside")
        until(lambda: place.prior.is_open, "the prior")
        pump(1.5)
        camera.shot("viewer-prior-beside", window)
        press(window, "viewer.prior_beside")
        measure(place)
        camera.shot("viewer-measures", window)


def measure(place: ViewerPlace) -> None:
    """Put one measure of each kind on the slice."""
    series = place.series
    assert series is not None
    uid, identity = series.series_instance_uid, series.instances[place.state.slice_index].identity
    place.book.add(uid, identity, "distance", (40.0, 120.0), (110.0, 96.0))
    place.book.add(uid, identity, "probe", (128.0, 196.0), (128.0, 196.0))
    place.book.add(uid, identity, "rectangle", (60.0, 60.0), (84.0, 80.0))
    place.book.add(uid, identity, "ellipse", (160.0, 90.0), (205.0, 150.0))
    pump(0.5)


def maps(camera: Camera, data: Data) -> None:
    with opened(data.program, camera.look) as window:
        place = with_map(window)
        camera.shot("viewer-map", window)
        press(window, "viewer.raw_grid")
        camera.shot("viewer-map-raw", window)
        press(window, "viewer.raw_grid", "viewer.map", "viewer.map_beside")
        pump(0.5)
        camera.shot("viewer-map-beside", window)
        press(window, "viewer.map_beside")
        for key, fold in place.panel.folds.items():
            fold.set_open(key in ("contributions", "fragility"))
        pump(0.3)
        camera.shot("panel-contributions", window)
        for key, fold in place.panel.folds.items():
            fold.set_open(key in ("suitability", "model", "files", "earlier"))
        pump(0.3)
        camera.shot("panel-model", window)


def not_all_there(camera: Camera, data: Data) -> None:
    from aicorona_desktop.core.findings import Finding, Outcome, Reason

    with opened(data.program, camera.look) as window:
        place = show_study(window, "Demo^OneSided")
        index = place.state.slice_index + 3
        assert place._store is not None
        place._store.take(index, Finding(Outcome.REFUSED, Reason.JPEG_2000_DAMAGED))
        place.set_state(replace(place.state, slice_index=index))
        pump(0.4)
        camera.shot("viewer-bad-slice", window)
        show_study(window, "Phantom^Damaged")
        camera.shot("viewer-unscored", window)
        window.open_study(uid_of_patient(window, "PH-0027"))
        pump(1.5)
        camera.shot("viewer-codec", window)


def verdict(camera: Camera, data: Data) -> None:
    from aicorona_desktop.ui.verdict_panel import VerdictPanel

    with opened(data.program, camera.look) as window:
        place = show_study(window, "Demo^Marked")
        press(window, "viewer.verdict")
        panel = next(
            each for each in map(place.side.widget, range(place.side.count())) if isinstance(each, VerdictPanel)
        )
        panel.impression.choose("cp")
        panel.action.choose("now")
        panel.note.setPlainText("Both lower lobes")
        pump(0.4)
        camera.shot("verdict", window)
        panel.save_answer()
        pump(1.0)
        camera.shot("verdict-saved", window)


def other_places(camera: Camera, data: Data) -> None:
    # The trail beside the list has the real times: the two must agree.
    with opened(data.program, camera.look, spread=False) as window:
        press(window, "place.history")
        pump(0.8)
        window.places["history"].show_study(uid_of_patient(window, "Demo^OneSided"))
        pump(1.0)
        camera.shot("history", window)
        press(window, "place.verification")
        pump(0.3)
        camera.shot("verification", window)


VERIFICATION = tuple(name for name in SHOTS if name.startswith("verification-"))


def site_verification(camera: Camera, data: Data) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "program"
        shutil.copytree(data.program, folder)
        if camera.wants("verification-kit", "verification-running", "verification-known-study"):
            with opened(folder, camera.look, spread=False) as window:
                the_kit(camera, data, window, Path(temporary))
        from tests.screenshots.verified import verify_site

        verify_site(folder)
        with opened(folder, camera.look, spread=False) as window:
            the_result(camera, window)


def the_kit(camera: Camera, data: Data, window: MainWindow, folder: Path) -> None:
    press(window, "place.verification")
    place: Any = window.places["verification"]
    kit = place.kit
    place.tabs.setCurrentWidget(kit)
    names = sorted(path.name for path in data.studies.iterdir() if path.is_dir())
    table = folder / "labels.csv"
    rows = [f"{name},{'covid' if place % 2 else 'normal'}" for place, name in enumerate(names[:-2])]
    table.write_text("\n".join(["folder,label", *rows, "case 99,covid"]) + "\n")
    kit.folder.setText(str(data.studies))
    kit.table.setText(str(table))
    kit.look_over()
    until(lambda: kit.matching is not None, "known studies", 60)
    kit.folder.setText("D:/known studies")
    kit.table.setText("D:/known studies/labels.csv")
    camera.shot("verification-kit", window)
    kit.start_run()
    until(lambda: kit.bar.value() >= 2, "two known studies", 120)
    camera.shot("verification-running", window)
    if not camera.wants("verification-known-study"):
        kit.stop_run()
        until(lambda: not kit.is_running, "the end of the run", 60)
        return
    until(lambda: place.tabs.currentWidget() is place.result, "the end of the run", 240)
    until(lambda: place.result.judged is not None, "the figures", 30)
    place.result.open_case(place.result.found.result.scored[0].study_instance_uid)
    known = place.result._window
    known.resize(window.size())
    until(lambda: known.viewer.viewed is not None, "a known study")
    pump(1.5)
    camera.shot("verification-known-study", known)
    known.close()


def the_result(camera: Camera, window: MainWindow) -> None:
    press(window, "place.verification")
    place: Any = window.places["verification"]
    result = place.result
    place.tabs.setCurrentWidget(result)
    until(lambda: result.judged is not None, "the figures", 30)
    pump(0.5)
    camera.shot("verification-result", window)
    result.setting.name.setText("Dr. Example")
    result.setting.initials.setText("DE")
    result.setting.why.setText("Few studies a day: rather ten too many on top than one missed")
    for name, fold in (("verification-figures", "figures"), ("verification-errors", "missed")):
        result.verticalScrollBar().setValue(result.folds[fold].y())
        pump(0.3)
        camera.shot(name, window)
    until(result.setting.set.isEnabled, "the point may be set", 30)
    result.setting.set.click()
    until(lambda: place.tabs.currentWidget() is place.certificate, "the certificate", 30)
    pump(0.5)
    camera.shot("verification-certificate", window)
    place.tabs.setCurrentWidget(place.month)
    until(lambda: place.month.counted is not None, "the month")
    pump(0.5)
    camera.shot("verification-month", window)
    place.month.verticalScrollBar().setValue(place.month.verticalScrollBar().maximum())
    pump(0.3)
    camera.shot("verification-waits", window)
    points = window.context.running.points  # as on a machine with another device
    points._device = lambda: "cuda"
    place.tabs.setCurrentWidget(place.certificate)
    window._show_facts()
    pump(0.5)
    camera.shot("verification-lapsed", window)


def sheets(camera: Camera, data: Data) -> None:
    with opened(data.program, camera.look) as window:
        for group in ("intake", "order", "viewer", "keys", "model", "privacy", "look", "storage", "backup"):
            if camera.wants(f"settings-{group}"):
                sheet = window.open_settings(group)
                if group == "storage":
                    sheet.storage.days.setValue(30)
                    until(lambda sheet=sheet: sheet.storage._found is not None, "what would go")
                pump(0.3)
                camera.shot(f"settings-{group}", window, sheet)
                sheet.close()
                pump(0.05)
        if camera.wants("settings-receiver"):
            receiver_page(camera, window)
        if camera.wants("settings-watched"):
            watched_page(camera, window)
        for name, sheet in (("keys", window.open_key_sheet()), ("about", window.open_help(about=True))):
            pump(0.2)
            camera.shot(name, window, sheet)
            sheet.close()
            pump(0.05)


def versions(camera: Camera, data: Data) -> None:
    """Three images of a study come again, with other bytes, from a disc."""
    from aicorona_desktop.ui.study_words import has_version_to_choose
    from aicorona_desktop.ui.version_dialog import VersionDialog, ask_version
    from tests.phantom import chest

    made = chest().with_slices(30, 10.0).with_matrix(256).named("sent twice")
    corrected = made.with_ground_glass(0.6).with_tags(SeriesDescription="AXIAL 5.0 corrected")
    with tempfile.TemporaryDirectory() as temporary, opened(data.program, camera.look) as window:
        assert window.context is not None
        context, uid = window.context, made.study_instance_uid
        first, later = Path(temporary) / "CT inbox", Path(temporary) / "Disc of Ward 4"
        window.submit([made.written_to(first)])
        until(lambda: (row := context.reading.row(uid)) is not None and row.probabilities, "the score", 120)
        later.mkdir()
        for index in (14, 15, 16):
            (later / f"IM{index:04d}.dcm").write_bytes(corrected.file(index))
        window.submit([later])
        until(lambda: (row := context.reading.row(uid)) is not None and has_version_to_choose(row), "the conflict")
        row = context.reading.row(uid)
        assert row is not None
        ask_version(context, row, window, say_aloud)
        until(lambda: isinstance(last_sheet(window), VersionDialog), "the sheet")
        sheet = last_sheet(window)
        assert isinstance(sheet, VersionDialog)
        until(lambda: sheet._compared is not None, "the pictures")
        sheet.why.setText("sent again with the right kernel")
        pump(0.3)
        camera.shot("versions", window, sheet)
        sheet.answers.choose(1)
        sheet.accept()
        until(lambda: context.reading.version_choice(uid) is not None, "the choice")
        window.show_place("history")
        until(lambda: (row := context.reading.row(uid)) is not None and row.probabilities, "the score", 120)
        window.places["history"].show_study(uid)
        pump(1.0)
        trail = window.places["history"].list
        for number in range(trail.count()):
            if "Version chosen" in trail.item(number).text():
                trail.setCurrentRow(number)
        pump(0.2)
        camera.shot("versions-taken-back", window)


def watched_page(camera: Camera, window: MainWindow) -> None:
    from aicorona_desktop.core.events import WatchedFolder, WatchState
    from aicorona_desktop.core.sources import WatchedSource

    before, now = window.site.value.watched, datetime.now(UTC)
    places = [Path("/srv/scanner-1"), Path("/mnt/archive/CT/incoming"), Path("/media/exchange")]
    sheet = window.open_settings("intake")
    sources = (WatchedSource(places[0], "Scanner 1", quiet_time_s=60), *(WatchedSource(one) for one in places[1:]))
    states = (
        WatchedFolder(places[0], WatchState.WATCHING, now, 12_408, now, 34),
        WatchedFolder(places[1], WatchState.LOST, now),
        WatchedFolder(places[2], WatchState.REFUSED, now),
    )
    window.site.change(watched=sources)
    sheet.watched.follow(lambda: states, window.bridge.sources_changed, window._look_for_files)
    sheet.watched.list.setCurrentRow(0)
    pump(0.3)
    sheet.page.verticalScrollBar().setValue(sheet.watched.y())
    pump(0.2)
    camera.shot("settings-watched", window, sheet)
    sheet.close()
    window.site.change(watched=before)
    pump(0.3)


def receiver_page(camera: Camera, window: MainWindow) -> None:
    from aicorona_desktop.core.receiving import Caller, ReceiverSettings

    callers = (Caller("CT1", ("192.168.1.20",)), Caller("ARCHIVE", ("192.168.2.0/24",)))
    window.site.change(receiver=ReceiverSettings(True, callers=callers))
    until(lambda: "Receiving" in window.footer.words()["receiver"], "the receiver")
    sheet = window.open_settings("intake")
    pump(0.3)
    sheet.page.verticalScrollBar().setValue(sheet.receiver.y())
    pump(0.2)
    camera.shot("settings-receiver", window, sheet)
    sheet.close()
    window.site.change(receiver=ReceiverSettings())
    pump(0.3)


def others(camera: Camera, data: Data) -> None:
    if data.real is None:
        return
    with opened(data.real, camera.look) as window:
        camera.shot("real-list", window)
        place, rows = worklist(window), window.context.reading.rows() if window.context else ()
        first = max(rows, key=lambda row: row.probabilities[2] if row.probabilities else 0.0)
        place.go_to(first.study_instance_uid)
        window.open_study(first.study_instance_uid)
        until(lambda: viewer(window).viewed is not None, "the study")
        pump(3)
        camera.shot("real-viewer", window)


READER_STUDY = tuple(name for name in SHOTS if name.startswith("reader-study"))


def reader_study(camera: Camera, data: Data) -> None:
    """Lay a study down, read a part in both ways, and show the results of four made-up readers."""
    with opened(data.program, camera.look) as window:
        place: Any = window.places["verification"]
        press(window, "place.verification")
        page: Any = place.tabs.widget(place.tabs.count() - 1)
        place.tabs.setCurrentWidget(page)
        studies = page.studies
        candidates = study_candidates(window)
        studies.ask_for_study()
        sheet = last_sheet(window)
        sheet.name.setText("Chest CT, autumn")  # type: ignore[union-attr]
        sheet.cases.show_candidates(candidates)  # type: ignore[union-attr]
        camera.shot("reader-study-setup", window, sheet)
        sheet.reject()  # type: ignore[union-attr]
        make_reader_study(studies, candidates, "Chest CT, autumn", pause_minutes=5, crossover=True)
        camera.shot("reader-study", window)
        for row, reader in enumerate(studies.open_study.state.design.readers):
            aided = studies.open_study.state.session(reader.code, 1).aided
            if camera.wants("reader-study-unaided", "reader-study-aided", "reader-study-pause") and row < 2:
                read_a_part(camera, studies, row, aided=aided)
        number = make_reader_study(studies, candidates, "Chest CT, spring", washout_days=28)
        finish_reader_study(window, number)
        studies.enter()
        until(lambda: studies.open_study is not None and studies.open_study.state.finished, "the finished study")
        studies.show_results()
        until(lambda: last_sheet(window) is not None, "the results")
        results: Any = last_sheet(window)
        for tab, name in enumerate(("figures", "charts", "tests")):
            results.tabs.setCurrentIndex(tab)
            pump(0.3)
            camera.shot(f"reader-study-{name}", window, results)
        results.reject()


def study_candidates(window: MainWindow) -> list[Any]:
    """Return the scored studies, with labels that fit how they were made."""
    from aicorona_desktop.app.reader_study_cases import Candidate

    assert window.context is not None
    labels = {"Clear": "normal", "NoFinding": "normal", "OneSided": "cp", "Patchy": "cp"}
    rows = [row for row in window.context.reading.rows() if row.probabilities is not None]
    return [Candidate(row, labels.get(row.patient_name.partition("^")[2], "covid")) for row in rows]


def make_reader_study(studies: Any, candidates: list[Any], name: str, **rules: Any) -> int:
    """Keep a study of four readers; return its number."""
    from aicorona_desktop.app.reader_study_cases import cases_of
    from aicorona_desktop.app.reader_study_design import Design, Participant

    people = (
        ("senior1", "senior", 15),
        ("senior2", "senior", 15),
        ("junior", "junior", 5),
        ("resident", "resident", 3),
    )
    readers = tuple(Participant(*one) for one in people)
    design = Design(name=name, cases=cases_of(candidates, 5), readers=readers, seed=5, chunk_cases=1, **rules)
    studies.make(design)
    until(lambda: studies.open_study is not None and studies.open_study.state.design == design, "the study")
    return int(studies.open_study.number)


def read_a_part(camera: Camera, studies: Any, row: int, *, aided: bool) -> None:
    """Sit down as a reader, open a part, answer its case."""
    studies.list.setCurrentCell(row, 0)
    studies.read()
    until(lambda: studies.reading is not None, "the reading")
    reading = studies.reading
    reading.activateWindow()
    reading.page.buttons["begin"].click()
    until(lambda: reading.viewer.main.shown_index is not None and reading.answer.isEnabled(), "the case")
    pump(0.6)
    if aided:
        reading.context.actions.ask("viewer.map")
        reading.context.actions.let_go("viewer.map")
        until(lambda: reading.viewer.maps.limits("covid") is not None, "the map")
    camera.shot("reader-study-aided" if aided else "reader-study-unaided", reading)
    reading.answer.choose("covid")
    reading.answer.try_to_save()
    until(lambda: "close_part" in reading.page.buttons, "the end of the part")
    reading.page.buttons["close_part"].click()
    camera.shot("reader-study-pause", reading)
    reading.close()
    until(lambda: studies.reading is None, "the end of the reading")


def finish_reader_study(window: MainWindow, number: int) -> None:
    """Let four readers have read everything, each with some errors, fewer with the model."""
    from aicorona_desktop.app.reader_study import Answer, Event, Kind, Step, applied
    from aicorona_desktop.app.reader_study_files import EventLog, read_study

    assert window.context is not None
    history = window.context.running.history
    state, _ = read_study(history, number)
    log, now = EventLog(history, number), datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    classes = ("normal", "cp", "covid")
    for errors, reader in enumerate(state.design.readers, 1):
        while (standing := state.standing(reader.code, now)).step is not Step.FINISHED:
            now = standing.until if standing.until is not None and standing.until > now else now
            standing = state.standing(reader.code, now)
            session, step = standing.session, standing.step
            case = session.order[len(session.readings)] if step is Step.READS else ""
            events: list[tuple[Kind, dict[str, Any]]]
            if step is Step.READS:
                truth = state.design.case(case).truth
                place = state.design.cases.index(state.design.case(case))
                wrong = place % 4 < errors - 2 * session.aided
                call = ("normal" if truth == "covid" else "covid") if wrong else truth
                answer = Answer((call == classes[0], call == classes[1], call == classes[2])).as_details()
                events = [(Kind.SHOWN, {}), (Kind.TIME, {"seconds": 40.0 - 6 * session.aided + errors})]
                events += [(Kind.REVEALED, {"p_covid": 0.5})] if session.aided else []
                events.append((Kind.ANSWERED, answer))
            else:
                events = [(Kind.PART_CLOSED if step is Step.MAY_CLOSE else Kind.PART_OPENED, {})]
            for kind, details in events:
                event = Event(kind, now, reader.code, session.number, case, details)
                state = applied(state, event)
                log.add(event)
    log.write()


SCENES: tuple[tuple[Callable[[Camera, Data], None], tuple[str, ...]], ...] = (
    (nothing_yet, ("empty", "viewer-empty", "help")),
    (first_run, ("acknowledge",)),
    (live, ("live",)),
    (
        the_list,
        ("list", "quick-look", "list-folded-out", "list-hidden-names", "list-sorted", "filter-hides-all"),
    ),
    (the_pill, ("list-pill",)),
    (other_lists, ("list-two-lines", "list-large-text")),
    (all_read, ("all-read",)),
    (folders, ("folder-lost", "folder-refused")),
    (notices, ("device-lost", "disk-nearly-full")),
    (import_table, ("import-table",)),
    (discs, ("disc-asked", "disc-copied", "disc-away", "disc-safe")),
    (read_only, ("read-only",)),
    (look_first, ("look-first",)),
    (
        pictures,
        (
            "viewer",
            "viewer-least-text",
            "viewer-hidden-names",
            "viewer-model",
            "viewer-reformats",
            "viewer-prior-beside",
            "viewer-measures",
        ),
    ),
    (maps, ("viewer-map", "viewer-map-raw", "viewer-map-beside", "panel-contributions", "panel-model")),
    (not_all_there, ("viewer-bad-slice", "viewer-unscored", "viewer-codec")),
    (verdict, ("verdict", "verdict-saved")),
    (other_places, ("history", "verification")),
    (site_verification, VERIFICATION),
    (reader_study, READER_STUDY),
    (sheets, (*(name for name in SHOTS if name.startswith("settings-")), "keys", "about")),
    (versions, ("versions", "versions-taken-back")),
    (others, tuple(REAL)),
)
"""What each scene takes; together they are all of `SHOTS`."""


def shown_rows(model: Any) -> list[Any]:
    """Return the rows that the list has loaded."""
    return [row for number in range(model.rowCount()) if (row := model.row_at(number)) is not None]


def unfold_last_lanes(place: Any) -> None:
    """Unfold the lanes that start folded."""
    from aicorona_desktop.core.rows import Lane

    for lane in (Lane.READ, Lane.NOT_FOR_TOOL):
        place._fold_lane(lane, False)
    pump(0.5)


def last_sheet(window: MainWindow) -> QWidget | None:
    """Return the sheet that is open over a window."""
    from PySide6.QtWidgets import QDialog

    found = [one for one in window.findChildren(QDialog) if one.isVisible()]
    return found[-1] if found else None


# --- both together --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Where the studies lie, and the program's folders over them; `real` None without `--real`."""

    studies: Path
    program: Path
    real: Path | None


def take(out: Path, look: str, only: Iterable[str], data: Data) -> None:
    """Take the pictures of one look; this process's scale is that of the look."""
    from PySide6.QtGui import QGuiApplication
    from PySide6.QtWidgets import QApplication

    application = QApplication.instance() or QApplication(["screenshots"])
    assert isinstance(application, QGuiApplication)
    camera = Camera(out, look, frozenset(only), set())
    for scene, names in SCENES:
        if camera.wants(*names):
            scene(camera, data)
    wanted = camera.only or frozenset(SHOTS)
    if missing := sorted(wanted - camera.taken):
        raise SystemExit(f"{look}: not taken: {', '.join(missing)}")


def main() -> int:
    """Make the studies, score them, and take every look."""
    arguments = parsed()
    if arguments.child:
        told = json.loads(arguments.child)
        paths = {name: Path(value) if value else None for name, value in told.items()}
        take(arguments.out, arguments.looks[0], arguments.only, Data(**paths))  # type: ignore[arg-type]
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.data or Path(temporary)
        studies, program = folder / "CT studies", folder / "program"
        if not program.is_dir():
            program.mkdir(parents=True)
            write_studies(studies)
            score_studies(studies, program)
        real = None
        if arguments.real is not None:
            real = folder / "real"
            if not real.is_dir():
                real.mkdir()
                score_studies(arguments.real, real)
        return max(run_look(arguments, look, folder, Data(studies, program, real)) for look in arguments.looks)


def run_look(arguments: argparse.Namespace, look: str, folder: Path, data: Data) -> int:
    """Take one look in a process of its own; return its exit code."""
    screens = folder / "screens.json"
    screen = {"name": "main", "x": 0, "y": 0, "width": 3840, "height": 2160, "logicalDpi": 96, "dpr": 1}
    screens.write_text(json.dumps({"screens": [screen]}))
    places = {"studies": str(data.studies), "program": str(data.program), "real": str(data.real) if data.real else ""}
    environment = os.environ | {
        "QT_QPA_PLATFORM": f"offscreen:configfile={screens}",
        "QT_SCALE_FACTOR": look.split("-")[1],
    }
    wanted = [*arguments.only] or [*SHOTS, *(REAL if data.real else ())]
    command = [sys.executable, __file__, str(arguments.out), "--looks", look, "--child", json.dumps(places)]
    return subprocess.run([*command, "--only", *wanted], env=environment, check=False).returncode


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", default=[], choices=[*SHOTS, *REAL], metavar="NAME")
    parser.add_argument("--looks", nargs="+", default=LOOKS, choices=LOOKS)
    parser.add_argument("--real", type=Path, help="a folder with other studies, scored and shown beside")
    parser.add_argument("--data", type=Path, help="where the studies are kept from one run to the next")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
