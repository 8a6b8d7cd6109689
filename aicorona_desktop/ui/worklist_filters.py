"""Above the list: the search field and the filters, each a chip that is on or off. It says what is wanted, no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from PySide6.QtCore import QDate, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QDateEdit,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLayout,
    QLayoutItem,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.history.store import Filter

TYPING_MS = 150
NOT_FILTERED = Filter()


class FilterBar(QWidget):
    """What the user wants to see; `changed` when that is something else."""

    changed = Signal()

    def __init__(self, today: Callable[[], date], person: Callable[[], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._today = today
        self._person = person
        self._dates: tuple[date | None, date | None] = (None, None)
        self.search = QLineEdit(clearButtonEnabled=True)
        self.search.setPlaceholderText(self.tr("Search name, ID, date (Ctrl+F)"))
        self.search.setAccessibleName(self.tr("Search the worklist"))
        self.search.setMinimumWidth(34 * self.fontMetrics().averageCharWidth())
        self.chips = {name: self._chip(text, tip) for name, (text, tip) in self._texts().items()}
        self.mine = self._chip(self.tr("Read by me"), self.tr("Studies whose newest impression or action is yours"))
        self.dates = self._chip(self.tr("Date"), self.tr("Studies of some days"))
        self.dates.setCheckable(False)
        self.dates.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.dates.setMenu(self._date_menu())
        self._lay_out()
        self._typing = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._typing.timeout.connect(self.changed)
        self.search.textChanged.connect(self._typing.start)
        self.search.returnPressed.connect(self._now)

    def _texts(self) -> dict[str, tuple[str, str]]:
        return {
            "unread": (self.tr("Unread"), self.tr("Nobody has saved an impression or an action")),
            "doubtful": (
                self.tr("Doubtful"),
                self.tr("Without its strongest slices the score crosses the operating point"),
            ),
            "unsuitable": (self.tr("Cannot be scored"), self.tr("Unsuitable, refused or failed")),
            "one_slice": (self.tr("One slice"), self.tr("The score rests on one slice")),
            "differ": (
                self.tr("Model and reader differ"),
                self.tr("The own impression names another class than the model score"),
            ),
            "covid_outcome_pcr_negative": (
                self.tr("COVID-19 by outcome, RT-PCR negative"),
                self.tr("The later outcome is COVID-19 although an RT-PCR test was negative"),
            ),
        }

    def _chip(self, text: str, tip: str) -> QToolButton:
        chip = QToolButton(self)
        chip.setText(text)
        chip.setToolTip(tip)
        chip.setAccessibleName(text)
        chip.setAccessibleDescription(tip)
        chip.setCheckable(True)
        chip.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        chip.toggled.connect(self._now)
        return chip

    def _lay_out(self) -> None:
        layout = FlowLayout(self)
        for widget in (self.search, *self.chips.values(), self.mine, self.dates):
            layout.addWidget(widget)

    # --- what is wanted --------------------------------------------------------------------------------------

    def wanted(self) -> Filter:
        """Return what the user wants to see."""
        is_on = {name: chip.isChecked() for name, chip in self.chips.items()}
        reader = self._person() if self.mine.isChecked() else ""
        first, last = self._dates
        return Filter(
            text=self.search.text().strip(),
            reader=reader,
            date_from=first,
            date_to=last,
            unread=is_on["unread"],
            doubtful=is_on["doubtful"],
            unsuitable=is_on["unsuitable"],
            one_slice=is_on["one_slice"],
            differ=is_on["differ"],
            covid_outcome_pcr_negative=is_on["covid_outcome_pcr_negative"],
        )

    @property
    def is_on(self) -> bool:
        """Whether anything is filtered."""
        return self.wanted() != NOT_FILTERED

    @property
    def has_only_text(self) -> bool:
        """Whether the search field alone filters."""
        return replace(self.wanted(), text="") == NOT_FILTERED

    def clear(self) -> None:
        """Want everything again."""
        for widget in (self.search, *self.chips.values(), self.mine):
            widget.blockSignals(True)
        self.search.clear()
        for chip in (*self.chips.values(), self.mine):
            chip.setChecked(False)
        for widget in (self.search, *self.chips.values(), self.mine):
            widget.blockSignals(False)
        self._set_dates(None, None)

    def refresh_person(self) -> None:
        """Show the filter for one's own studies where it is known who sits here."""
        self.mine.setVisible(bool(self._person()))
        if not self._person():
            self.mine.setChecked(False)

    def set_dates(self, first: date | None, last: date | None) -> None:
        """Want the studies of some days, both ends included; None leaves an end open."""
        if first is not None and last is not None and last < first:
            first, last = last, first
        self._set_dates(first, last)

    def _set_dates(self, first: date | None, last: date | None) -> None:
        self._dates = (first, last)
        self.dates.setText(self._dates_text())
        self.dates.setAccessibleName(self._dates_text())
        is_on = self._dates != (None, None)
        self.dates.setCheckable(is_on)
        self.dates.setChecked(is_on)
        self._now()

    def _dates_text(self) -> str:
        first, last = self._dates
        if first is None and last is None:
            return self.tr("Date")
        if first == last and first is not None:
            return self.tr("Date: {day}").format(day=first.isoformat())
        if last is None and first is not None:
            return self.tr("Date: from {day}").format(day=first.isoformat())
        if first is None and last is not None:
            return self.tr("Date: up to {day}").format(day=last.isoformat())
        return self.tr("Date: {first} to {last}").format(first=first, last=last)

    def _now(self, *_: object) -> None:
        self._typing.stop()
        self.changed.emit()

    # --- days ------------------------------------------------------------------------------------------------

    def _date_menu(self) -> QMenu:
        menu = QMenu(self)
        for text, days in (
            (self.tr("Today"), 0),
            (self.tr("Last 7 days"), 6),
            (self.tr("Last 30 days"), 29),
        ):
            menu.addAction(text).triggered.connect(lambda _=False, back=days: self._last_days(back))
        menu.addAction(self.tr("From, to…")).triggered.connect(self._ask_dates)
        menu.addSeparator()
        menu.addAction(self.tr("Any date")).triggered.connect(lambda: self._set_dates(None, None))
        return menu

    def _last_days(self, back: int) -> None:
        today = self._today()
        self._set_dates(today - timedelta(days=back), today)

    def _ask_dates(self) -> None:
        dialog = DateDialog(*self._dates, self._today(), self)
        dialog.accepted.connect(lambda: self.set_dates(*dialog.dates()))
        dialog.open()


class DateDialog(QDialog):
    """Asks for a first and a last day."""

    def __init__(self, first: date | None, last: date | None, today: date, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Studies of which days?"))
        self.first, self.last = (self._edit(day or today) for day in (first, last))
        self.first.setAccessibleName(self.tr("First day"))
        self.last.setAccessibleName(self.tr("Last day"))
        form = QFormLayout()
        form.addRow(self.tr("From"), self.first)
        form.addRow(self.tr("To"), self.last)
        buttons = QDialogButtonBox()
        buttons.addButton(self.tr("Show"), QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(self.tr("Leave as it is"), QDialogButtonBox.ButtonRole.RejectRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(buttons)

    def dates(self) -> tuple[date, date]:
        """Return the days that were chosen."""
        first, last = (_day(edit.date()) for edit in (self.first, self.last))
        return first, last

    def _edit(self, day: date) -> QDateEdit:
        edit = QDateEdit(QDate(day.year, day.month, day.day), self)
        edit.setDisplayFormat("yyyy-MM-dd")
        edit.setCalendarPopup(True)
        return edit


def _day(shown: QDate) -> date:
    return date(shown.year(), shown.month(), shown.day())


class FlowLayout(QLayout):
    """Widgets side by side, on as many lines as the width asks for: chips must neither be cut nor scrolled."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(6, 6, 6, 6)
        self.setSpacing(6)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        parent.setSizePolicy(policy)

    def addItem(self, item: QLayoutItem) -> None:
        """Take a widget in."""
        self._items.append(item)

    def count(self) -> int:
        """Return the number of widgets."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        """Return a widget's item; None beyond the end."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        """Let a widget go."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        """It takes no more than it needs."""
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        """Whether the height follows the width."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height of all lines at a width."""
        return self._arrange(QRect(0, 0, width, 0), move=False)

    def sizeHint(self) -> QSize:
        """Return the least that the widest widget needs."""
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        """Return the least that the widest widget needs."""
        size = QSize()
        for item in self._items:
            size = size.expandedTo(item.minimumSize())
        margins = self.contentsMargins()
        return size + QSize(margins.left() + margins.right(), margins.top() + margins.bottom())

    def setGeometry(self, rect: QRect) -> None:
        """Put every widget in its place."""
        super().setGeometry(rect)
        self._arrange(rect, move=True)

    def _arrange(self, rect: QRect, *, move: bool) -> int:
        margins = self.contentsMargins()
        area = rect.marginsRemoved(margins)
        shown = [item for item in self._items if (widget := item.widget()) is None or not widget.isHidden()]
        sizes = [item.sizeHint().expandedTo(item.minimumSize()) for item in shown]
        line = max((size.height() for size in sizes), default=0)
        parent = self.parentWidget()
        mirrored = parent is not None and parent.layoutDirection() is Qt.LayoutDirection.RightToLeft
        x, y = area.left(), area.top()
        for item, size in zip(shown, sizes, strict=True):
            if x > area.left() and x + size.width() > area.right() + 1:
                x, y = area.left(), y + line + self.spacing()
            if move:
                left = area.left() + area.right() + 1 - x - size.width() if mirrored else x
                item.setGeometry(QRect(left, y, size.width(), line))
            x += size.width() + self.spacing()
        return y + line - rect.top() + margins.bottom()
