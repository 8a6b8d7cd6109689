"""What the program keeps on the disk, and the rule by which images go: nothing goes that the list did not show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QLocale, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.storage import Storage, storage_of
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.retention import GRACE, CopiedStudy, Kept, Named, Rule
from aicorona_desktop.core.rows import Row
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.choices import SiteChoices
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.theme import ThemeKeeper

translate = QCoreApplication.translate

LANE = "storage"
SHOWN = 200
"""So many studies of the list are shown by their names; the rest is counted."""
FEWEST_DAYS, MOST_DAYS, MOST_GB = 7, 36500, 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """What was counted: the disk, what a rule would take and keep, and the rows of the first ones."""

    storage: Storage
    goes: tuple[Named, ...]
    copied: tuple[CopiedStudy, ...]
    rows: tuple[Row | None, ...]


class UsedBar(QWidget):
    """A bar as long as the disk: what others use, what is ours by kind, what is free."""

    def __init__(self, keeper: ThemeKeeper, parent: QWidget) -> None:
        super().__init__(parent)
        self._keeper = keeper
        self.parts: tuple[tuple[str, int], ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(translate("Storage", "How full the disk is"))

    def sizeHint(self) -> QSize:
        """Return a line of text's height."""
        return QSize(self.fontMetrics().averageCharWidth() * 40, self.fontMetrics().height())

    def show_parts(self, parts: tuple[tuple[str, int], ...]) -> None:
        """Show colours of the theme by name, each with its bytes."""
        self.parts = parts
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the parts side by side; what is there at all is at least two pixels wide."""
        painter, theme = QPainter(self), self._keeper.theme
        total = sum(size for _, size in self.parts)
        left, height = 0.0, float(self.height())
        painter.fillRect(self.rect(), theme.colour("base"))
        for name, size in self.parts if total else ():
            width = max(self.width() * size / total, 2.0 if size else 0.0)
            painter.fillRect(QRectF(left, 0, width, height), theme.colour(name))
            left += width
        painter.setPen(QColor(theme.line))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))


class StoragePage(QFrame):
    """Counts when it is shown; a rule takes effect with a button, below the list of what would go.

    All that changes anything is below `self.changing`, which can be locked as a whole.
    """

    def __init__(self, site: SiteChoices, keeper: ThemeKeeper, parent: QWidget) -> None:
        super().__init__(parent)
        self._site = site
        self._context: Context | None = None
        self._found: Found | None = None
        self.setAccessibleName(translate("Storage", "Storage"))
        self.bar = UsedBar(keeper, self)
        self.disk = plain(QLabel(self, wordWrap=True))
        self._amounts = QGridLayout()
        self._keeper = keeper
        self.changing = QWidget(self)
        self._make_rule()
        self._make_list()
        self._lay_out()
        self._connect()
        self._show_rule()
        self._enable()

    def use(self, context: Context | None) -> None:
        """Take the services, once they stand, and count."""
        self._context = context
        self._enable()
        self.count()

    @property
    def rule(self) -> Rule:
        """The rule in the fields, switched on or not."""
        days = self.days.value()
        return Rule(0 if days < FEWEST_DAYS else days, self.gigabytes.value())

    def count(self) -> None:
        """Count what is there, and what the rule in the fields would take; in the background."""
        context = self._context
        if context is None:
            return
        rule, running, reading = self.rule, context.running, context.reading

        def work() -> Found:
            try:
                storage = storage_of(running.place, running.volumes)
            except OSError as error:
                raise StorageError(translate("Storage", "The disk does not answer; nothing was counted.")) from error
            retention = running.retention
            copied = () if retention is None else retention.copied(reading)
            goes = () if retention is None else retention.preview(rule, reading)
            rows = tuple(reading.row(one.study.study_instance_uid) for one in goes[:SHOWN])
            return Found(storage, goes, copied, rows)

        context.jobs.run(work, self._show, self.trouble.setText, lane=LANE, key="storage", owner=self)

    # --- making ----------------------------------------------------------------------------------------------------

    def _make_rule(self) -> None:
        self.days = QSpinBox(self.changing, minimum=FEWEST_DAYS - 1, maximum=MOST_DAYS)
        self.days.setSpecialValueText(translate("Storage", "never"))
        self.days.setSuffix(translate("Storage", " days after it was read"))
        self.days.setAccessibleName(translate("Storage", "The images of a study go"))
        self.gigabytes = QSpinBox(self.changing, minimum=0, maximum=MOST_GB)
        self.gigabytes.setSpecialValueText(translate("Storage", "any amount"))
        self.gigabytes.setSuffix(translate("Storage", " GB"))
        self.gigabytes.setAccessibleName(translate("Storage", "All images may take"))
        for field in (self.days, self.gigabytes):
            field.setKeyboardTracking(False)
        self.clear = QPushButton(translate("Storage", "Clear decoded slices"), self.changing)
        self.take = QPushButton(translate("Storage", "Use this rule"), self.changing)
        self.keep = QPushButton(translate("Storage", "Keep the images of this study"), self.changing)
        self.trouble = plain(QLabel(self, wordWrap=True))

    def _make_list(self) -> None:
        self.summary = plain(QLabel(self, wordWrap=True))
        self.list = QTableWidget(0, 4, self)
        self.list.setAccessibleName(translate("Storage", "Studies whose images go by this rule"))
        self.list.setHorizontalHeaderLabels(
            [
                translate("Storage", "Study"),
                translate("Storage", "Read"),
                translate("Storage", "Size"),
                translate("Storage", "Goes on"),
            ]
        )
        self.list.verticalHeader().hide()
        self.list.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.list.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.list.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.list.setTabKeyNavigation(False)
        self.list.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.list.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.setMinimumHeight(self.fontMetrics().lineSpacing() * 9)

    def _lay_out(self) -> None:
        explained = QLabel(
            translate(
                "Storage",
                "Only this program's own copies go, only of studies that a person has read, and {days} days after the "
                "rule has named them, or at once when the disk is nearly full. Sources are never touched; the row, its "
                "score and what was said stay. Pinned studies, studies in doubt, and those that somebody was told of "
                "without an outcome yet are kept.",
            ).format(days=GRACE.days),
            self,
            wordWrap=True,
        )
        explained.setForegroundRole(self.palette().ColorRole.PlaceholderText)
        rule = QGridLayout(self.changing)
        rule.setContentsMargins(0, 0, 0, 0)
        rule.addWidget(QLabel(self.days.accessibleName(), self.changing), 0, 0)
        rule.addWidget(self.days, 0, 1)
        rule.addWidget(QLabel(self.gigabytes.accessibleName(), self.changing), 1, 0)
        rule.addWidget(self.gigabytes, 1, 1)
        buttons = QHBoxLayout()
        for button in (self.take, self.keep):
            buttons.addWidget(button)
        buttons.addStretch(1)
        rule.addLayout(buttons, 2, 0, 1, 3)
        rule.addWidget(self.clear, 3, 0, Qt.AlignmentFlag.AlignLeading)
        rule.setColumnStretch(2, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.addWidget(self.bar)
        column.addWidget(self.disk)
        column.addLayout(self._amounts)
        title = QLabel(translate("Storage", "Remove images by rule"), self)
        font = title.font()
        font.setBold(True)
        title.setFont(font)
        for widget in (title, explained, self.changing, self.summary, self.list, self.trouble):
            column.addWidget(widget)

    def _connect(self) -> None:
        for field in (self.days, self.gigabytes):
            field.valueChanged.connect(self._rule_edited)
        self.clear.clicked.connect(self._clear)
        self.take.clicked.connect(self._take)
        self.keep.clicked.connect(self._keep)
        self.list.itemSelectionChanged.connect(self._enable)
        self._site.changed.connect(self._site_changed)

    # --- doing -----------------------------------------------------------------------------------------------------

    def _rule_edited(self, *_: object) -> None:
        self.summary.setText(translate("Storage", "Looking for what would go…"))
        self._found = None
        self._enable()
        self.count()

    def _site_changed(self, names: frozenset[str]) -> None:
        if names & {"keep_days", "keep_gb", "cache_gb"}:
            self._show_rule()
            self.count()

    def _show_rule(self) -> None:
        rule = self._site.value.retention
        for field, value in ((self.days, rule.days or FEWEST_DAYS - 1), (self.gigabytes, rule.gigabytes)):
            field.blockSignals(True)
            field.setValue(value)
            field.blockSignals(False)

    def _take(self) -> None:
        context, rule = self._context, self.rule
        if context is None:
            return
        try:
            self._site.change(keep_days=rule.days, keep_gb=rule.gigabytes)
        except AicoronaError as error:
            self.trouble.setText(str(error))
            return
        history, person = context.running.history, context.person()
        text = f"{rule.days} days, {rule.gigabytes} GB"
        context.jobs.run(
            lambda: history.set_setting("retention", text, person), lambda _: None, self.trouble.setText, lane=LANE
        )
        self._enable()

    def _clear(self) -> None:
        context = self._context
        if context is not None:
            context.jobs.run(context.running.volumes.clear, lambda _: self.count(), lane=LANE, owner=self)

    def _keep(self) -> None:
        context, found, row = self._context, self._found, self.list.currentRow()
        if context is None or found is None or not 0 <= row < len(found.goes):
            return
        history, uid, person = context.running.history, found.goes[row].study.study_instance_uid, context.person()
        context.jobs.run(
            lambda: history.keep_images(uid, person),
            lambda _: self.count(),
            self.trouble.setText,
            lane=LANE,
            owner=self,
        )

    # --- showing ---------------------------------------------------------------------------------------------------

    def _show(self, found: Found) -> None:
        self._found = found
        self.trouble.clear()
        self._show_amounts(found.storage)
        self.summary.setText(summary_text(self.rule, found.copied, found.goes))
        self.list.setRowCount(min(len(found.goes), SHOWN))
        for number, (one, row) in enumerate(zip(found.goes, found.rows, strict=False)):
            for column, text in enumerate(self._cells(one, row)):
                self.list.setItem(number, column, QTableWidgetItem(text))
        self._enable()

    def _cells(self, one: Named, row: Row | None) -> tuple[str, ...]:
        context = self._context
        who = "" if context is None or row is None else words.identity_text(context.identity(row))
        when = "" if row is None else words.study_time_text(row)
        read = "" if one.study.read_at is None else words.moment_text(one.study.read_at)
        by = rule_words(one.rule)
        goes = translate("Storage", "{day} ({rule})").format(day=words.moment_text(one.goes_at)[:10], rule=by)
        return (", ".join(filter(None, (who, when))), read, size_text(one.study.size_bytes), goes)

    def _show_amounts(self, storage: Storage) -> None:
        ours = (
            ("accent", storage.originals_bytes, translate("Storage", "Copies of images")),
            ("good", storage.cache_bytes, translate("Storage", "Decoded slices, made again when they are wanted")),
            ("caution", storage.maps_bytes, translate("Storage", "Maps, made again when they are wanted")),
            ("attention", storage.history_bytes, translate("Storage", "History and audit")),
            ("selection", storage.backups_bytes, translate("Storage", "Backups of the history")),
        )
        used = storage.disk_bytes - storage.free_bytes
        others = max(used - sum(size for _, size, _ in ours), 0)
        self.bar.show_parts((*((name, size) for name, size, _ in ours), ("idle", others), ("base", storage.free_bytes)))
        text = translate("Storage", "{free} free of {all}. Others on this disk use {others}.")
        self.disk.setText(
            text.format(free=size_text(storage.free_bytes), all=size_text(storage.disk_bytes), others=size_text(others))
        )
        self.bar.setAccessibleDescription(self.disk.text())
        while (item := self._amounts.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for line, (name, size, text) in enumerate(ours):
            self._amounts.addWidget(Swatch(self._keeper, name, self), line, 0)
            self._amounts.addWidget(QLabel(text, self), line, 1)
            self._amounts.addWidget(QLabel(size_text(size), self), line, 2)
        self._amounts.setColumnStretch(3, 1)

    def _enable(self) -> None:
        why = self._why_not()
        changed = self.rule != self._site.value.retention
        seen = self._found is not None
        chosen = self.list.currentRow() >= 0 and seen
        for button, missing in (
            (self.take, "" if changed and seen else translate("Storage", "This rule holds already.")),
            (self.keep, "" if chosen else translate("Storage", "Choose a study in the list first.")),
            (self.clear, ""),
        ):
            told = why or missing
            button.setEnabled(not told)
            button.setToolTip(told)
            button.setAccessibleDescription(told)
        self.take.setText(
            translate("Storage", "Use this rule") if self.rule.is_on else translate("Storage", "Remove nothing by rule")
        )

    def _why_not(self) -> str:
        if self._context is None:
            return translate("Storage", "The program is still starting.")
        if not self._context.writable:
            return translate(
                "Storage", "Another copy of the program has the history open. This one is for reading only."
            )
        return ""


class StorageError(AicoronaError):
    """The disk could not be counted."""


class Swatch(QWidget):
    """A square in a colour of the theme: which part of the bar a line is about."""

    def __init__(self, keeper: ThemeKeeper, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._keeper, self._name = keeper, name
        side = self.fontMetrics().height() * 2 // 3
        self.setFixedSize(side, side)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Fill it."""
        QPainter(self).fillRect(self.rect(), self._keeper.theme.colour(self._name))


# --- words -----------------------------------------------------------------------------------------------------------


def size_text(size_bytes: int) -> str:
    """Return an amount of bytes as people write it."""
    return QLocale().formattedDataSize(size_bytes, 1, QLocale.DataSizeFormat.DataSizeSIFormat)


def rule_words(rule: str) -> str:
    """Return which part of a rule named a study."""
    return translate("Storage", "by age") if rule == "days" else translate("Storage", "for room")


def kept_words(why: Kept) -> str:
    """Return why studies stay whatever the rule says."""
    return {
        Kept.UNREAD: translate("Storage", "unread"),
        Kept.NOT_FINISHED: translate("Storage", "not checked to the end"),
        Kept.PINNED: translate("Storage", "pinned"),
        Kept.TOLD: translate("Storage", "somebody was told, no outcome yet"),
        Kept.CONFLICT: translate("Storage", "in doubt"),
        Kept.READER_STUDY: translate("Storage", "in a reader study"),
        Kept.BY_PERSON: translate("Storage", "kept by a person"),
    }[why]


def summary_text(rule: Rule, copied: tuple[CopiedStudy, ...], goes: tuple[Named, ...]) -> str:
    """Return how many studies go and stay, and why."""
    size = sum(one.study.size_bytes for one in goes)
    if not rule.is_on:
        text = translate("Storage", "Without a rule, no image is ever removed: {all} with copies of images.")
        return text.format(all=studies_counted(len(copied)))
    why = Counter(one.kept_because for one in copied if one.kept_because is not None)
    kept = ", ".join(f"{kept_words(reason)}: {words.number_text(count)}" for reason, count in sorted(why.items()))
    text = translate("Storage", "By this rule the images of {some} of {all} go, {size}.")
    text = text.format(some=words.number_text(len(goes)), all=studies_counted(len(copied)), size=size_text(size))
    if kept:
        text = translate("Storage", "{text} Kept in any case: {kept}.").format(text=text, kept=kept)
    if len(goes) > SHOWN:
        text = translate("Storage", "{text} The first {count} are shown.").format(text=text, count=SHOWN)
    return text


def studies_counted(count: int) -> str:
    """Return a number of studies in words."""
    return translate("Storage", "1 study") if count == 1 else translate("Storage", "%n studies", "", count)
