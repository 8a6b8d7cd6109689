"""The kit through the real window: known studies are chosen, scored apart from the list, judged, and the point set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtGui import QPalette
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.settings import Settings
from aicorona_desktop.history.store import History
from aicorona_desktop.model.pack import default_pack
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.verification_place import VerificationPlace
from tests import phantom
from tests.app.site_study import known_run
from tests.app.test_verification_result import drawn
from tests.history import made_up

FEW = phantom.chest().with_slices(20, 10.0).with_matrix(128)


def verification(window: MainWindow) -> VerificationPlace:
    place = window.places["verification"]
    assert isinstance(place, VerificationPlace)
    window.show_place("verification")
    return place


def ctx(window: MainWindow) -> Context:
    assert window.context is not None
    return window.context


@pytest.fixture
def site() -> Settings:
    return Settings(provider="cpu", quiet_time_s=0, poll_s=0.3)


def known_studies(folder: Path) -> Path:
    """Two known studies and one that has too few slices, with a table that names one study that isn't there."""
    for name, chest in (
        ("sick", FEW.with_ground_glass(1.0).with_seed(3)),
        ("well", FEW.with_seed(4)),
        ("short", FEW.with_slices(4)),
    ):
        chest.named(name).with_tags(PatientID=f"P-{name}").written_to(folder / "known" / name)
    table = folder / "labels.csv"
    table.write_text("folder,label\nsick,covid\nwell,normal\nshort,cp\nmissing,covid\n")
    return table


def test_known_studies_are_scored_apart_from_the_list_and_a_study_is_opened(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    table, place = known_studies(tmp_path), verification(window)
    kit = place.kit
    place.tabs.setCurrentWidget(kit)
    assert not kit.look.isEnabled()
    kit.folder.setText(str(tmp_path / "known"))
    kit.table.setText(str(table))
    kit.folder.editingFinished.emit()
    assert kit.start.toolTip() == "Look the studies over first."
    kit.look.click()
    qtbot.waitUntil(lambda: kit.matching is not None and kit.start.isEnabled(), timeout=20_000)
    assert "3 of 3 studies in the folder have a label" in kit.preview.text
    assert "line 5: no study has folder" in kit.preview.text

    kit.start.click()
    qtbot.waitUntil(lambda: place.tabs.currentWidget() is place.result, timeout=90_000)
    result = place.result
    qtbot.waitUntil(lambda: result.judged is not None, timeout=10_000)

    assert "2 studies with a score, of 3 with a label" in result.head.text
    assert [row[1] for row in result.failures.texts] == ["Pneumonia or other abnormality"]
    assert "slices" in result.failures.texts[0][2]
    assert sum(int(cell) for row in result.confusion.texts for cell in row[1:]) == 2
    assert not ctx(window).reading.rows()  # the clinic's list knows nothing of them
    assert "n is too small" in result.setting.set.toolTip()
    assert all("not set: n too small" in row[2] for row in result.points.texts)

    assert result.found is not None
    sick = next(case for case in result.found.result.scored if case.label == "covid")
    result.open_case(sick.study_instance_uid)
    viewer = result._window.viewer  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: viewer.viewed is not None, timeout=20_000)
    assert "Label: COVID-19" in result._window.label.text()  # type: ignore[union-attr]
    result._window.close()  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: result._window is None, timeout=5000)
    assert not ctx(window).reading.rows()


def test_a_table_with_a_fault_is_told_by_row_and_column(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    place = verification(window)
    kit = place.kit
    place.tabs.setCurrentWidget(kit)
    kit.write_template(tmp_path / "labels.csv")
    text = (tmp_path / "labels.csv").read_text().replace("covid", "ill")
    (tmp_path / "labels.csv").write_text(text)
    kit.folder.setText(str(tmp_path))
    kit.table.setText(str(tmp_path / "labels.csv"))
    kit.folder.editingFinished.emit()
    kit.look.click()

    qtbot.waitUntil(lambda: "line 2: label must be one of" in kit.preview.text, timeout=10_000)
    assert not kit.start.isEnabled()


def test_a_run_goes_on_after_the_window_was_closed(
    open_window: Callable[..., MainWindow], qtbot: QtBot, tmp_path: Path
) -> None:
    table = known_studies(tmp_path)
    first = open_window()
    kit = verification(first).kit
    verification(first).tabs.setCurrentWidget(kit)
    kit.folder.setText(str(tmp_path / "known"))
    kit.table.setText(str(table))
    kit.look_over()
    qtbot.waitUntil(lambda: kit.matching is not None, timeout=20_000)
    kit.start.click()
    qtbot.waitUntil(lambda: kit.bar.maximum() == 3, timeout=30_000)
    first.close()

    again = verification(open_window())
    again.tabs.setCurrentWidget(again.kit)
    qtbot.waitUntil(lambda: "is not finished" in again.kit.said.text(), timeout=5000)
    assert again.kit.start.text() == "Go on with the run"
    again.kit.start.click()
    qtbot.waitUntil(lambda: again.tabs.currentWidget() is again.result, timeout=90_000)
    qtbot.waitUntil(lambda: again.result.found is not None, timeout=10_000)
    assert again.result.found is not None
    assert again.result.found.run.ended_at is not None
    assert len(again.result.found.result.scored) == 2


@pytest.fixture
def verified(open_window: Callable[..., MainWindow], qtbot: QtBot, tmp_path: Path) -> MainWindow:
    """A window over a history with a run of fifty known studies."""
    with History.open(tmp_path / "program" / "history.sqlite", clock=made_up.Clock()) as history:
        known_run(history, default_pack(), drawn(), failed=("cp",))
    window = open_window()
    place = verification(window)
    place.tabs.setCurrentWidget(place.result)
    qtbot.waitUntil(lambda: place.result.judged is not None, timeout=10_000)
    return window


def test_a_named_person_sets_the_point_and_it_holds_everywhere_until_it_is_withdrawn(
    verified: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    place, window = verification(verified), verified
    result, form = place.result, place.result.setting
    assert "Not verified at this site" in window.footer.words()["site"]
    assert form.set.toolTip() == "The name of the person who decides is missing."
    form.name.setText("Ada Byron")
    assert form.set.toolTip() == "Say why this point was chosen."
    form.why.setText("Two readers a night")
    result.slider.setValue(result.slider.maximum() // 3)
    assert "Catches" in result.cost.text()
    qtbot.waitUntil(form.set.isEnabled, timeout=10_000)
    chosen = result.threshold

    form.set.click()
    qtbot.waitUntil(lambda: place.tabs.currentWidget() is place.certificate, timeout=5000)

    assert chosen is not None
    engine = ctx(window).running.engine
    assert engine is not None
    assert engine.operating_point == chosen
    assert window.places["worklist"].asked().policy.operating_point == chosen  # type: ignore[attr-defined]
    qtbot.waitUntil(
        lambda: window.footer.words()["site"].startswith("Verified on this site: n 50, AUC 0."), timeout=5000
    )
    page = place.certificate.view.toPlainText()
    for words in (
        "Ada Byron (T)",
        "Two readers a night",
        default_pack().sha256,
        "Research use. Not a diagnosis.",
        "AUC",
    ):
        assert words in page
    place.certificate.save_pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    history = ctx(window).running.history
    assert history.site_verifications()[0].why == "Two readers a night"
    assert history.broken_audit_row() is None

    place.certificate.take_back("Ada Byron", "AB", "New scanner")
    qtbot.waitUntil(lambda: "was withdrawn" in window.footer.words()["site"], timeout=5000)
    assert engine.operating_point is None


def test_the_months_page_and_go_into_a_file(
    window: MainWindow, dropped: Callable[..., object], qtbot: QtBot, tmp_path: Path
) -> None:
    FEW.named("one").written_to(tmp_path / "new")
    dropped(tmp_path / "new")
    place = verification(window)
    place.tabs.setCurrentWidget(place.month)
    month = place.month
    qtbot.waitUntil(lambda: month.counted is not None, timeout=10_000)

    assert "Studies that arrived: 1" in month.counts.text
    assert month.alarms.text == "No limit is passed."
    assert not month.earlier.isEnabled()
    assert not month.later.isEnabled()
    month.save_csv(tmp_path / "month.csv")
    assert "studies,1" in (tmp_path / "month.csv").read_text()


def test_no_word_of_the_pages_is_one_that_must_not_be_said(verified: MainWindow, qtbot: QtBot) -> None:
    place = verification(verified)
    place.result.setting.name.setText("N")
    place.result.setting.why.setText("W")
    qtbot.waitUntil(place.result.setting.set.isEnabled, timeout=10_000)
    place.result.setting.set.click()
    qtbot.waitUntil(lambda: place.tabs.currentWidget() is place.certificate, timeout=5000)
    result = place.result
    said = " ".join(
        [
            *(one.text for one in (result.head, result.figures, place.kit.needs, place.month.counts)),
            *(
                cell
                for table in (result.points, result.groups, result.confusion)
                for row in table.texts
                for cell in row
            ),
            place.certificate.view.toPlainText().replace("Not a diagnosis", "").replace("not a diagnosis", ""),
        ]
    ).lower()

    for word in ("diagnos", "detect", "positive", "healthy", "accura", "safe"):
        assert word not in said
    assert place.palette().color(QPalette.ColorRole.Window).isValid()
