"""The look beside the list: the right slices of the right study, for sorting only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.app.viewing import StudyReader
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.imaging.voi import LUNG, to_grey
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.triage.reading import FileReading
from aicorona_desktop.ui.quick_look import TILES, Picture, PictureView, QuickLook, nine_of
from tests import phantom
from tests.history.made_up import NOW
from tests.ui.worklist_parts import TILT, context_of, wait_until


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


@pytest.fixture
def quick_look(qtbot, tmp_path, reader):
    with context_of(tmp_path) as context:
        look = QuickLook(context, lambda: StudyReader(lambda: reader))
        look.resize(400, 900)
        look.show()
        yield look
        look._job and look._job.cancel()
        context.jobs.close()
        look.deleteLater()


def received(look: QuickLook, reader: Reader, folder: Path, chest: phantom.Chest) -> Row:
    """Let a study be read from files on the disk."""
    chest.written_to(folder)
    batch = FileReading(reader, Spool(folder.parent / "spool")).read([folder])
    [study] = studies_of(batch.instances, [])
    look._context.running.history.record_received(study)
    row = look._context.reading.row(study.study_instance_uid)
    assert row is not None
    return row


def tiles_shown(look: QuickLook) -> int:
    return sum(tile.picture is not None for tile in look.tiles)


@pytest.mark.parametrize(
    ("slices", "used", "wanted"),
    [
        (20, (), (19, 17, 14, 12, 10, 7, 5, 2, 0)),
        (40, tuple(range(10, 30)), (29, 27, 24, 22, 20, 17, 15, 12, 10)),
        (4, (), (3, 2, 1, 0)),
        (0, (), ()),
    ],
)
def test_nine_slices_are_spread_over_the_used_ones_head_first(slices, used, wanted):
    chosen = nine_of(slices, used)

    assert len(chosen) == len(wanted)
    assert all(abs(one - other) <= 1 for one, other in zip(chosen, wanted, strict=True))
    assert list(chosen) == sorted(set(chosen), reverse=True)


def test_the_middle_slice_and_nine_tiles_of_the_study_are_shown(quick_look, reader, tmp_path):
    chest = phantom.chest()
    row = received(quick_look, reader, tmp_path / "in", chest)

    quick_look.show_row(row)
    wait_until(lambda: tiles_shown(quick_look) == TILES, 20_000)

    assert quick_look.caption.text() == "Preview for sorting. Open the study to read."
    middle = nine_of(20, ())[4]
    grey = to_grey(chest.thorax.slice(middle).astype(np.int16), LUNG)
    shown = quick_look.picture.picture.grey
    assert shown.shape == grey.shape
    assert np.abs(shown.astype(int) - grey.astype(int)).mean() < 2
    flipped = np.abs(grey[:, ::-1].astype(int) - shown.astype(int)).mean()
    assert flipped > 5  # left stays left


def test_another_study_takes_every_picture_of_the_first_away_at_once(quick_look, reader, tmp_path):
    row = received(quick_look, reader, tmp_path / "in", phantom.chest())
    quick_look.show_row(row)
    wait_until(lambda: tiles_shown(quick_look) == TILES, 20_000)

    quick_look.show_row(replace(row, study_instance_uid="other", patient_name="Other^Patient"))

    assert tiles_shown(quick_look) == 0
    assert quick_look.picture.picture is None
    assert "Other, Patient" in quick_look.title.text()


def test_a_study_without_pictures_says_why(quick_look):
    row = Row("1.2.3", NOW - timedelta(minutes=3), State.REFUSED, patient_name="No^Files")

    quick_look.show_row(row)

    wait_until(lambda: quick_look.picture.picture is not None, 20_000)
    assert quick_look.picture.picture.grey is None
    assert quick_look.picture.picture.text.endswith(".")


def test_files_and_notes_stand_below_the_pictures(quick_look):
    row = Row(
        "1", NOW, State.DONE, findings=(TILT,), files_received=40, files_refused=2, reason="Score 80, rank 1 of 2"
    )

    quick_look.show_row(row)

    text = quick_look.facts.text()
    assert "Score 80, rank 1 of 2" in text
    assert "40 files received, 2 refused" in text
    assert str(TILT) in text


def test_hidden_names_are_hidden_here_too(quick_look):
    quick_look.show_row(Row("1", NOW, State.DONE, patient_name="Müller^Anna", patient_id="P7"))
    assert "Müller" in quick_look.title.text()

    quick_look._context.identities.hide(True)

    assert "Müller" not in quick_look.title.text()
    assert "P7" not in quick_look.title.text()


def test_a_score_that_must_wait_for_the_reader_is_not_in_the_texts(quick_look):
    quick_look._context.site.change(look_first=True)

    quick_look.show_row(Row("1", NOW, State.DONE, probabilities=(0.1, 0.07, 0.83), reason="Score 83, rank 1 of 1"))

    assert "83" not in quick_look.facts.text()


def test_a_picture_is_drawn_in_its_proportions_on_black(qtbot):
    view = PictureView()
    qtbot.addWidget(view)
    view.resize(200, 100)
    view.show_picture(Picture(None, np.full((50, 50), 255, np.uint8), "", 1.0))

    image = view.grab().toImage()

    assert image.pixelColor(100, 50).lightness() == 255
    assert image.pixelColor(20, 50).lightness() == 0
    assert image.pixelColor(180, 50).lightness() == 0
    view.show_picture(Picture(None, None, "This slice is damaged."))
    assert view.grab().toImage().pixelColor(100, 50).lightness() < 255
