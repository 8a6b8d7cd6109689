"""The strip at the left of the viewer: the series of the study, and other studies of the same patient."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QSize, Qt, Signal
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from aicorona_desktop.app.viewing import ViewedSeries, ViewedStudy
from aicorona_desktop.core.rows import Row
from aicorona_desktop.ui.identity import shown_date

_SERIES, _PRIOR = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1


class SeriesList(QListWidget):
    """Series first, the scored one on top; then other studies. A click, or Enter, shows what it stands on."""

    series_wanted = Signal(str)
    prior_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("series_list")
        self.setAccessibleName(QCoreApplication.translate("SeriesList", "Series and other studies"))
        self.setWordWrap(True)
        self.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemClicked.connect(self._chosen)
        self.itemActivated.connect(self._chosen)

    def show_study(self, viewed: ViewedStudy, priors: Sequence[Row]) -> None:
        """List the series of a study, and other studies of the patient."""
        self.clear()
        for series in viewed.series:
            self._add(series_text(series), _SERIES, series.series_instance_uid)
        if not priors:
            return
        heading = QListWidgetItem(QCoreApplication.translate("SeriesList", "Other studies of this patient"), self)
        heading.setFlags(Qt.ItemFlag.NoItemFlags)
        for row in priors:
            self._add(_prior_text(row), _PRIOR, row.study_instance_uid)

    def mark(self, series_instance_uid: str) -> None:
        """Show which series is on the screen."""
        for place in range(self.count()):
            if self.item(place).data(_SERIES) == series_instance_uid:
                self.setCurrentRow(place)

    def sizeHint(self) -> QSize:
        """Wide enough for a description."""
        return QSize(self.fontMetrics().averageCharWidth() * 22, 300)

    def _add(self, text: str, role: int, uid: str) -> None:
        item = QListWidgetItem(text, self)
        item.setData(role, uid)
        item.setToolTip(text)
        item.setSizeHint(QSize(0, self.fontMetrics().lineSpacing() * (text.count("\n") + 1) + 12))

    def _chosen(self, item: QListWidgetItem) -> None:
        if item.data(_SERIES):
            self.series_wanted.emit(item.data(_SERIES))
        elif item.data(_PRIOR):
            self.prior_wanted.emit(item.data(_PRIOR))


def series_text(series: ViewedSeries) -> str:
    """Return what a series is called in the strip."""
    number = "" if series.series.series_number is None else f"{series.series.series_number} "
    name = f"{number}{series.series.description}".strip() or QCoreApplication.translate("SeriesList", "Series")
    count = QCoreApplication.translate("SeriesList", "{count} slices").format(count=len(series.instances))
    if len(series.instances) == 1:
        count = QCoreApplication.translate("SeriesList", "1 slice")
    lines = [name, count]
    if series.scored:
        lines.append(QCoreApplication.translate("SeriesList", "scored"))
    elif series.geometry is None:
        lines.append(QCoreApplication.translate("SeriesList", "for looking at only"))
    return "\n".join(lines)


def _prior_text(row: Row) -> str:
    return "\n".join(part for part in (shown_date(row.study_date), row.study_description) if part) or "CT"
