from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from aicorona_desktop.imaging import colour_maps
from aicorona_desktop.ui.colour_bar import ColourBar, Scale, _marks

SCALE = Scale(-2.0, 8.0, "covid")


@pytest.fixture
def bar(qtbot: QtBot) -> ColourBar:
    host = QWidget()
    qtbot.addWidget(host)
    bar = ColourBar(host)
    bar.host = host  # for as long as the bar
    bar.resize(200, 600)
    host.resize(220, 620)
    host.show()
    return bar


def picture(bar: ColourBar) -> QImage:
    """The strip as it is painted, without the frame around its colours."""
    return bar._strip.grab().toImage()


def colours_upwards(bar: ColourBar) -> list[tuple[int, int, int]]:
    """The colours along the middle of the strip, from its foot to its top."""
    image, strip = picture(bar), bar._strip
    half_a_line = strip.fontMetrics().height() / 2 + 1
    column = round(0.75 * strip.fontMetrics().height())
    rows = range(round(strip.height() - half_a_line) - 2, round(half_a_line) + 2, -1)
    return [image.pixelColor(column, row).getRgb()[:3] for row in rows]


def test_without_a_map_there_is_no_bar(bar: ColourBar) -> None:
    assert bar.isHidden()

    bar.show_scale(SCALE)
    assert not bar.isHidden()

    bar.show_scale(None)
    assert bar.isHidden()


def test_the_bar_names_its_class_and_says_what_a_map_is_not(bar: ColourBar) -> None:
    bar.show_scale(SCALE)

    texts = [label.text() for label in bar.findChildren(QLabel)]
    assert texts == ["COVID-19", "Shows what moved the score, not where disease is."]
    assert bar.accessibleName() == (
        "Colours of the map of COVID-19, from 0 to 8.00. Shows what moved the score, not where disease is."
    )


def test_the_numbers_are_shares_of_the_study_s_largest_value_and_zero_is_fixed() -> None:
    assert _marks(SCALE) == [(0.0, "0.00"), (0.25, "2.00"), (0.5, "4.00"), (0.75, "6.00"), (1.0, "8.00")]
    assert _marks(replace(SCALE, largest=120.0))[-1] == (1.0, "120.0")


def test_a_class_for_which_nothing_speaks_has_no_colours(bar: ColourBar) -> None:
    bar.show_scale(Scale(-3.0, 0.0, "cp"))

    assert len(set(colours_upwards(bar))) == 1
    assert _marks(Scale(-3.0, 0.0, "cp")) == [(0.0, "nothing speaks for it")]


@pytest.mark.parametrize("name", colour_maps.NAMES)
def test_the_colours_are_those_of_the_map_from_a_quarter_on(bar: ColourBar, name: str) -> None:
    bar.show_scale(replace(SCALE, colour_map=name, lined=False))

    seen, table = colours_upwards(bar), colour_maps.table(name)

    ground = seen[0]
    assert all(one == ground for one in seen[: int(0.23 * len(seen))])
    for share in (0.4, 0.6, 0.9):
        expected, got = table[round(255 * share)], seen[int(share * len(seen))]
        # Which row of the screen shows a share depends on the bar's height: up to two steps of the table.
        near = table[max(round(255 * share) - 2, 0) : round(255 * share) + 3].astype(int)
        assert np.abs(near - np.array(got[:3])).max(axis=1).min() <= 8, expected


def test_where_only_lines_are_drawn_only_their_colours_are_shown(bar: ColourBar) -> None:
    bar.show_scale(replace(SCALE, filled=False))

    seen = colours_upwards(bar)
    ground = max(set(seen), key=seen.count)
    coloured = [place / len(seen) for place, one in enumerate(seen) if one != ground]

    assert 6 <= len(coloured) <= 12
    assert {round(place * 4) for place in coloured} == {1, 2, 3}


def test_the_bar_stays_from_left_to_right_in_every_language(bar: ColourBar) -> None:
    bar.host.setLayoutDirection(Qt.LayoutDirection.RightToLeft)

    assert bar.layoutDirection() is Qt.LayoutDirection.LeftToRight
