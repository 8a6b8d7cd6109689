"""The pages of words between the cases of a reading: begin, wait, pause, close a part, the end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from PySide6.QtCore import QCoreApplication, QLocale, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from aicorona_desktop.app.reader_study import Session, Standing, Step, StudyState
from aicorona_desktop.ui.plain import plain

translate = QCoreApplication.translate

LETTERS = 72
"""How wide the text of a page is."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says; `buttons` are (what it means, its words, whether it can be pressed), the first one leads on."""

    heading: str
    text: str
    buttons: tuple[tuple[str, str, bool], ...]
    asks_reason: bool = False


def page_of(state: StudyState, window_session: int, standing: Standing, now: datetime) -> Page:
    """Return the page for where a reader stands; `window_session` is the session that the window is open for."""
    session = standing.session
    leave = ("leave", translate("ReaderStudy", "Close"), True)
    if standing.step is Step.FINISHED:
        return Page(
            translate("ReaderStudy", "Both sessions are finished"),
            translate("ReaderStudy", "Thank you. All your answers are kept; the results come when all have finished."),
            (leave,),
        )
    if session.number != window_session:
        return Page(translate("ReaderStudy", "This session is finished"), _until(standing, now), (leave,))
    begin = translate("ReaderStudy", "Begin this part")
    match standing.step:
        case Step.WAITS:
            text = _until(standing, now)
            return Page(
                translate("ReaderStudy", "The second session waits"),
                text,
                (("leave", leave[1], True), ("begin", translate("ReaderStudy", "Begin earlier"), True)),
                asks_reason=True,
            )
        case Step.PAUSES:
            return Page(
                translate("ReaderStudy", "Pause"),
                _pause_text(standing, now),
                (("begin", begin, False), leave),
            )
        case Step.MAY_CLOSE:
            close = translate("ReaderStudy", "Close this part")
            again = translate("ReaderStudy", "Look at its cases again")
            return Page(
                translate("ReaderStudy", "The end of this part"),
                _end_text(session, standing),
                (("close_part", close, True), ("look_again", again, True)),
            )
        case _:
            return Page(_begin_heading(session), _begin_text(state, session), (("begin", begin, True), leave))


def _begin_heading(session: Session) -> str:
    text = translate("ReaderStudy", "Session {session} of 2, part {part}")
    locale = QLocale()
    return text.format(session=locale.toString(session.number), part=locale.toString(session.chunk + 1))


def _begin_text(state: StudyState, session: Session) -> str:
    design, locale = state.design, QLocale()
    left = len(session.order) - len(session.readings)
    size = translate(
        "ReaderStudy",
        "This part has up to {cases} cases of {left} that are left, and ends after {minutes} minutes of reading at the "
        "latest. An answer can be changed until its part is closed. Time runs only while this window is in front.",
    ).format(
        cases=locale.toString(min(design.chunk_cases, left)),
        left=locale.toString(left),
        minutes=locale.toString(design.chunk_minutes),
    )
    if not session.aided:
        help_given = translate("ReaderStudy", "In this session the model's scores and maps are not shown.")
    elif design.sequential:
        help_given = translate("ReaderStudy", "In this session the model is shown once your first impression is saved.")
    else:
        help_given = translate("ReaderStudy", "In this session the model's scores and maps are shown.")
    return f"{help_given}\n\n{size}"


def _end_text(session: Session, standing: Standing) -> str:
    count = QLocale().toString(len(session.of_part))
    if standing.time_is_over:
        text = translate("ReaderStudy", "The time of this part is over, and its {count} cases have an answer.")
    else:
        text = translate("ReaderStudy", "All {count} cases of this part have an answer.")
    rest = translate("ReaderStudy", "Once it is closed, its answers can't be changed any more, and a pause follows.")
    return f"{text.format(count=count)}\n\n{rest}"


def _pause_text(standing: Standing, now: datetime) -> str:
    rest = max(timedelta(0), (standing.until or now) - now)
    seconds = ceil(rest.total_seconds())
    text = translate(
        "ReaderStudy", "Look away from the screen for a while. The next part can begin in {minutes}:{rest}."
    )
    return text.format(minutes=seconds // 60, rest=f"{seconds % 60:02d}")


def _until(standing: Standing, now: datetime) -> str:
    if standing.until is None or standing.until <= now:
        return translate("ReaderStudy", "The second session can begin now; open it from the list of readers.")
    day = standing.until.astimezone().date().isoformat()
    text = translate(
        "ReaderStudy",
        "Time has to pass before the second session, so that the cases are not remembered. It begins on {day}. "
        "An earlier start needs a reason, which is kept with the study.",
    )
    return text.format(day=day)


class MessagePage(QWidget):
    """A heading, some sentences, a reason where one is asked for, and buttons; Enter presses the first."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("reading_page")
        self._page: Page | None = None
        self.heading, self.text = plain(QLabel(self)), plain(QLabel(self))
        font = self.heading.font()
        font.setPointSizeF(font.pointSizeF() * 1.5)
        self.heading.setFont(font)
        self.reason = QLineEdit(self)
        self.reason.setPlaceholderText(translate("ReaderStudy", "Why the session begins before its time"))
        self.reason.setAccessibleName(self.reason.placeholderText())
        self.reason.textChanged.connect(self._allow)
        self.buttons: dict[str, QPushButton] = {}
        self._row = QHBoxLayout()
        inner = QWidget(self)
        inner.setMaximumWidth(LETTERS * self.fontMetrics().averageCharWidth())
        column = QVBoxLayout(inner)
        for label in (self.heading, self.text):
            label.setWordWrap(True)
            column.addWidget(label)
            column.addSpacing(12)
        column.addWidget(self.reason)
        column.addLayout(self._row)
        outer = QVBoxLayout(self)
        outer.addStretch(1)
        across = QHBoxLayout()
        across.addStretch(1)
        across.addWidget(inner, 4)
        across.addStretch(1)
        outer.addLayout(across)
        outer.addStretch(2)

    @property
    def asks_reason(self) -> bool:
        """Whether a reason is asked for."""
        return self._page is not None and self._page.asks_reason

    def show_page(self, page: Page) -> None:
        """Show a page."""
        self._page = page
        self.heading.setText(page.heading)
        self.text.setText(page.text)
        self.reason.clear()
        self.reason.setVisible(page.asks_reason)
        self._make_buttons(page)
        self._allow()
        first = next((button for button in self.buttons.values() if button.isEnabled()), None)
        if first is not None:
            self.setFocusProxy(first)
            first.setFocus()

    def update_page(self, page: Page) -> None:
        """Show a page whose text changes every second; what is being written stays."""
        before = self._page
        if before is None or (before.heading, before.buttons) != (page.heading, page.buttons):
            self.show_page(page)
        elif before.text != page.text:
            self._page = page
            self.text.setText(page.text)

    def show_trouble(self, sentence: str) -> None:
        """Say that nothing can be kept any more."""
        heading = translate("ReaderStudy", "The reading had to stop")
        rest = translate("ReaderStudy", "What was kept before stands; open the session again once this is solved.")
        leave = ("leave", translate("ReaderStudy", "Close"), True)
        self.show_page(Page(heading, f"{sentence}\n\n{rest}", (leave,)))

    def _make_buttons(self, page: Page) -> None:
        while (item := self._row.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self.buttons = {}
        for name, words, possible in page.buttons:
            button = QPushButton(words, self)
            button.setObjectName(f"page_{name}")
            button.setEnabled(possible)
            button.setAutoDefault(True)
            button.clicked.connect(lambda _=False, name=name: self.chosen.emit(name))
            if not possible:
                button.setToolTip(translate("ReaderStudy", "The pause is not over yet."))
            self._row.addWidget(button)
            button.show()  # now, or the focus would come before it
            self.buttons[name] = button
        self._row.addStretch(1)

    def _allow(self) -> None:
        """An earlier start needs its reason."""
        if self.asks_reason and "begin" in self.buttons:
            given = bool(self.reason.text().strip())
            self.buttons["begin"].setEnabled(given)
            self.buttons["begin"].setToolTip("" if given else translate("ReaderStudy", "Give the reason first."))
