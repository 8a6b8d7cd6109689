from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QImage, QPalette
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.places import resources_dir
from aicorona_desktop.core.user_settings import Theme as Wanted
from aicorona_desktop.core.user_settings import UserSettings
from aicorona_desktop.ui.choices import UserChoices
from aicorona_desktop.ui.icons import icon, program_icon
from aicorona_desktop.ui.jobs import Jobs
from aicorona_desktop.ui.theme import DARK, LIGHT, TARGET_PX, Theme, ThemeKeeper, contrast, palette_of, sheet_of

THEMES = pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
GROUNDS = ("window", "base", "raised")


@pytest.fixture
def keeper(qapp: QApplication, tmp_path: Path):
    jobs = Jobs()
    keeper = ThemeKeeper(qapp, UserChoices(UserSettings(), tmp_path, jobs))
    yield keeper
    keeper._user.change(theme=Wanted.SYSTEM, text_percent=100)
    assert jobs.close()


def test_the_contrast_is_that_of_wcag():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@THEMES
def test_text_stands_out_by_at_least_4_5_to_1(theme: Theme):
    for words, ground in product(("text", "muted"), GROUNDS):
        assert contrast(getattr(theme, words), getattr(theme, ground)) >= 4.5, (words, ground)
    assert contrast(theme.selection_text, theme.selection) >= 4.5
    assert contrast(theme.image_text, theme.image) >= 4.5


@THEMES
def test_lines_icons_and_state_colours_stand_out_by_at_least_3_to_1(theme: Theme):
    for colour, ground in product(("line", "accent", "attention", "caution", "calm", "good", "idle"), GROUNDS):
        assert contrast(getattr(theme, colour), getattr(theme, ground)) >= 3, (colour, ground)


@THEMES
def test_every_pair_of_the_palette_can_be_read_greyed_words_as_well(theme: Theme):
    palette, roles = palette_of(theme), QPalette.ColorRole
    pairs = [(roles.WindowText, roles.Window), (roles.Text, roles.Base), (roles.ButtonText, roles.Button)]
    pairs += [(roles.HighlightedText, roles.Highlight), (roles.ToolTipText, roles.ToolTipBase)]
    for group in (QPalette.ColorGroup.Active, QPalette.ColorGroup.Disabled):
        for words, ground in pairs:
            assert contrast(palette.color(group, words).name(), palette.color(group, ground).name()) >= 4.5


@THEMES
def test_greys_are_neutral_and_the_picture_is_the_same_in_both(theme: Theme):
    for name in ("window", "base", "raised", "text", "muted", "line", "hairline"):
        colour = theme.colour(name)
        assert colour.red() == colour.green() == colour.blue(), name
    assert (theme.image, theme.image_rim) == (DARK.image, DARK.image_rim)
    assert "$" not in sheet_of(theme)


def test_the_look_is_the_one_that_was_asked_for_and_changes_at_once(qapp: QApplication, keeper: ThemeKeeper):
    for wanted, theme in ((Wanted.DARK, DARK), (Wanted.LIGHT, LIGHT)):
        keeper._user.change(theme=wanted)

        assert keeper.theme is theme
        assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(theme.window)


def test_text_grows_in_steps_between_80_and_200_percent(qapp: QApplication, keeper: ThemeKeeper):
    normal = qapp.font().pointSizeF()
    keeper.resize_text(1)
    assert qapp.font().pointSizeF() == pytest.approx(1.1 * normal)

    keeper.resize_text(50)
    assert keeper._user.value.text_percent == 200
    keeper.resize_text(-50)
    assert keeper._user.value.text_percent == 80
    keeper.resize_text(0)
    assert qapp.font().pointSizeF() == pytest.approx(normal)


def test_a_button_is_a_target_of_32_pixels_and_grows_with_the_text(qtbot: QtBot, keeper: ThemeKeeper):
    button = QPushButton("Press")
    qtbot.addWidget(button)
    button.show()
    assert button.sizeHint().height() >= TARGET_PX

    keeper.resize_text(10)
    assert button.sizeHint().height() > TARGET_PX


@pytest.mark.parametrize("drawing", sorted((resources_dir() / "icons").glob("*.svg")), ids=lambda path: path.stem)
def test_every_drawing_shows_something_in_the_colour_of_the_theme(qapp: QApplication, drawing: Path):
    if drawing.stem == "program":
        assert not program_icon().pixmap(QSize(64, 64)).isNull()
        return
    picture = icon(drawing.stem, DARK, "accent").pixmap(QSize(32, 32)).toImage()
    picture = picture.convertToFormat(QImage.Format.Format_ARGB32)
    shown = {
        picture.pixelColor(x, y).name() for x in range(32) for y in range(32) if picture.pixelColor(x, y).alpha() == 255
    }

    assert DARK.accent in shown
