"""The words in the corners of a picture, by how much of it is wanted (ux.md 4.4); identity and slice never go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication

from aicorona_desktop.app.viewing import ViewedSeries
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.rows import Row
from aicorona_desktop.ui.identity import Identity, shown_date
from aicorona_desktop.ui.presets import preset_text
from aicorona_desktop.ui.study_words import class_name
from aicorona_desktop.ui.viewer_state import CornerText, Layout, ViewerState

Lines = tuple[str, ...]
Corners = tuple[Lines, Lines, Lines, Lines]


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands on the screen, for the corners to speak of: the slice that is drawn, not the one asked for.

    `zoom` is in physical pixels a slice pixel, `hounsfield` what lies under the pointer (`outside`: of the scan).
    `map_largest` is the end of the map's scale, None while no map is drawn; `map_grid` names its own grid. `wanted`
    is the slice that is still coming.
    """

    state: ViewerState
    series: ViewedSeries
    slice_index: int
    wanted: int | None = None
    zoom: float = 1.0
    hounsfield: int | None = None
    outside: bool = False
    map_largest: float | None = None
    map_grid: str = ""
    note: str = ""


def corners(shown: Shown, row: Row | None, identity: Identity | None) -> Corners:
    """Return the lines of top left, top right, bottom left and bottom right."""
    everything = shown.state.corner_text is CornerText.ALL
    return (
        _identity(shown.series.header, row, identity),
        _study(shown.series.header, row, identity) if everything else (),
        (*(_series(shown.series) if everything else ()), *_slice(shown)),
        _picture(shown) if everything else (),
    )


def _identity(header: Header, row: Row | None, identity: Identity | None) -> Lines:
    if identity is None or row is None:
        return ()
    about = ", ".join(part for part in (_age(header), _sex(header.patient_sex)) if part)
    name = identity.name or QCoreApplication.translate("corners", "No name")
    return _without_empty(name, identity.patient_id, identity.birth_date, about)


def _age(header: Header) -> str:
    if header.patient_age_years is None:
        return ""
    if header.patient_age_years < 2:
        months = QCoreApplication.translate("corners", "{months} months")
        return months.format(months=int(header.patient_age_years * 12))
    return QCoreApplication.translate("corners", "{years} years").format(years=int(header.patient_age_years))


def _sex(sex: str) -> str:
    words = {
        "F": QCoreApplication.translate("corners", "female"),
        "M": QCoreApplication.translate("corners", "male"),
        "O": QCoreApplication.translate("corners", "other sex"),
    }
    return words.get(sex.strip().upper(), sex)


def _study(header: Header, row: Row | None, identity: Identity | None) -> Lines:
    accession = identity.accession_number if identity is not None else ""
    institution = identity.institution if identity is not None else ""
    when = " ".join(part for part in (shown_date(header.study_date), header.study_time[:8]) if part)
    description = header.study_description or (row.study_description if row is not None else "")
    return _without_empty(institution, when, description, accession)


def _series(series: ViewedSeries) -> Lines:
    header = series.header
    number = "" if series.series.series_number is None else f"{series.series.series_number} "
    usual = series.geometry.spacing_mm if series.geometry is not None else None
    thick = QCoreApplication.translate("corners", "{mm} mm thick")
    apart = QCoreApplication.translate("corners", "every {mm} mm")
    lie = [
        thick.format(mm=_number(header.slice_thickness_mm)) if header.slice_thickness_mm else "",
        apart.format(mm=_number(usual)) if usual else "",
    ]
    tube = f"{header.kvp:g} kVp" if header.kvp else ""
    return _without_empty(
        f"{number}{series.series.description}".strip(),
        ", ".join(part for part in (header.convolution_kernel, tube) if part),
        ", ".join(part for part in lie if part),
    )


def _slice(shown: Shown) -> Lines:
    series, index = shown.series, shown.slice_index
    position = series.position_mm(index)
    # What is noted may be long: it stands above the lowest row, which it would share with the letter of the edge.
    lines = [*(shown.note.split("\n") if shown.note else ()), slice_line(index, len(series.instances), position)]
    if series.used:
        used = index in series.used
        lines.append(
            QCoreApplication.translate("corners", "Used by the model")
            if used
            else QCoreApplication.translate("corners", "Outside the used half")
        )
    if shown.wanted is not None:
        coming = QCoreApplication.translate("corners", "Slice {number} is being read")
        lines.append(coming.format(number=shown.wanted + 1))
    return tuple(lines)


def slice_line(index: int, slices: int, position_mm: float | None) -> str:
    """Return which slice it is; they are counted from 1 at the feet."""
    if position_mm is None:
        text = QCoreApplication.translate("corners", "Slice {number}/{total}")
        return text.format(number=index + 1, total=slices)
    text = QCoreApplication.translate("corners", "Slice {number}/{total}, {mm} mm")
    return text.format(number=index + 1, total=slices, mm=f"{position_mm:.1f}")


def _picture(shown: Shown) -> Lines:
    state = shown.state
    lines = [window_line(state), f"{QCoreApplication.translate('corners', 'Zoom')} {shown.zoom * 100:.0f} %"]
    if shown.outside:
        lines.append(QCoreApplication.translate("corners", "outside the scan"))
    elif shown.hounsfield is not None:
        lines.append(f"{shown.hounsfield} HU")
    if shown.map_largest is not None:
        lines += _map(shown, shown.map_largest)
    return tuple(lines)


def window_line(state: ViewerState) -> str:
    """Return width and level with the preset's name; of the model's picture, what it is."""
    if state.preset == "model":
        return QCoreApplication.translate("corners", "As the model sees it: exactly what was given to the model")
    numbers = f"W {_number(state.window.width_hu)} L {_number(state.window.centre_hu)}"
    inverted = QCoreApplication.translate("corners", "inverted") if state.inverted else ""
    return ", ".join(part for part in (numbers, preset_text(state.preset), inverted) if part)


def _map(shown: Shown, largest: float) -> list[str]:
    state = shown.state
    text = QCoreApplication.translate("corners", "Map: {name}, 0 to {largest}, {opacity} %")
    values = {"name": class_name(state.map_class), "largest": f"{largest:.2f}"}
    lines = [text.format(**values, opacity=round(100 * state.map_opacity)), shown.map_grid]
    if state.layout is Layout.MAP_BESIDE:  # half the width: each part on a line of its own
        return [part for line in lines for part in line.split(", ")]
    return lines


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def _without_empty(*lines: str) -> Lines:
    return tuple(line for line in lines if line)


def joined(corners: Sequence[Lines]) -> str:
    """Return all corners as one text, for those who hear the picture."""
    return ". ".join(line for lines in corners for line in lines)
