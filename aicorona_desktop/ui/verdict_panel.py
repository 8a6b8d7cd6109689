"""The panel of a person's own answer beside the picture: impression, action, note, initials (ux.md 6).

Nothing is chosen beforehand and nothing is saved by itself. A correction is another entry; both stay in the history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QLocale, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QGroupBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.core.lanes import model_and_reader_differ
from aicorona_desktop.core.rows import Row
from aicorona_desktop.history.store import Escalation, History, Verdict, Viewing
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.drafts import NOTHING, Answer, Drafts
from aicorona_desktop.ui.escalation_dialog import EscalationDialog, NoteField
from aicorona_desktop.ui.fold import Line, Lines, wrap
from aicorona_desktop.ui.recorder import Entry, recorder_of

translate = QCoreApplication.translate

IMPRESSIONS = ("normal", "cp", "covid", "cannot_judge")
ACTIONS = ("now", "routine", "repeat")
CO_RADS = range(7)
FEW_SEEN = 0.8
"""A smaller share of slices than this on the screen is noted beside the verdict (ux.md 6.5)."""


@dataclass(frozen=True, slots=True)
class VerdictFacts:
    """What people have said of one study so far, oldest first."""

    row: Row
    verdicts: tuple[Verdict, ...]
    escalations: tuple[Escalation, ...]
    viewings: tuple[Viewing, ...]

    @property
    def standing(self) -> tuple[Verdict, ...]:
        """What each person said last and did not take back, newest first; it may be of the study before late files."""
        by_person = {one.initials.casefold() or str(one.number): one for one in self.verdicts if not one.taken_back}
        return tuple(sorted(by_person.values(), key=lambda one: -one.number))

    def own(self, initials: str) -> Verdict | None:
        """Return what a person has said of the present files, and not taken back."""
        of_now = (one for one in self.standing if one.revision == self.row.revision)
        return next((one for one in of_now if _same_person(one.initials, initials)), None)

    def seen_before(self, initials: str) -> float | None:
        """Return the largest share of slices that this person has had on the screen in earlier viewings."""
        shares = [one.slices_seen for one in self.viewings if _same_person(one.by, initials)]
        return max((share for share in shares if share is not None), default=None)


def read_verdicts(history: History, study_instance_uid: str) -> VerdictFacts | None:
    """Return what people have said of a study; None where the history doesn't know it. Raises HistoryError."""
    with history.at_one_moment():
        row = history.row(study_instance_uid)
        if row is None:
            return None
        return VerdictFacts(
            row,
            history.verdicts(study_instance_uid),
            history.escalations(study_instance_uid),
            history.viewings(study_instance_uid),
        )


class Choice(QGroupBox):
    """Some answers, one or none of them chosen; each is reached by Tab, and chosen again it is taken away.

    Arrow keys stay with the slices, which is why this is no group of Qt's: there only they reach the others.
    """

    changed = Signal()

    def __init__(self, title: str, answers: Mapping[str, str], parent: QWidget) -> None:
        super().__init__(title, parent)
        self.setAccessibleName(title)
        self._buttons = {key: QRadioButton(text, self) for key, text in answers.items()}
        column = QVBoxLayout(self)
        column.setSpacing(0)
        column.setContentsMargins(6, 0, 6, 2)
        for key, button in self._buttons.items():
            button.setObjectName(f"answer_{key}")
            button.setAutoExclusive(False)
            button.setAccessibleName(
                translate("VerdictPanel", "{title}: {answer}").format(title=title, answer=answers[key])
            )
            button.toggled.connect(lambda on, key=key: self._toggled(key, on))
            column.addWidget(button)

    @property
    def key(self) -> str:
        """The answer that is chosen, "" for none."""
        return next((key for key, button in self._buttons.items() if button.isChecked()), "")

    def choose(self, key: str) -> None:
        """Choose an answer, "" for none, without telling."""
        for name, button in self._buttons.items():
            with QSignalBlocker(button):
                button.setChecked(name == key)
            button.update()

    def button(self, key: str) -> QRadioButton:
        """Return the button of an answer."""
        return self._buttons[key]

    def _toggled(self, key: str, on: bool) -> None:
        if on:
            self.choose(key)
        self.changed.emit()


class VerdictPanel(QWidget):
    """The answer to the study on the screen; reads the history by itself, and again whenever the study changes."""

    wanted = Signal()  # a key asks for this panel: bring it to the front
    saved = Signal()  # an answer was given: back to the pictures
    say = Signal(str)

    def __init__(
        self, context: Context, slices_seen: Callable[[], float | None], parent: QWidget | None = None
    ) -> None:
        """`slices_seen` tells the share of slices that have been on the screen in this viewing."""
        super().__init__(parent)
        self.setObjectName("verdict_panel")
        self.setAccessibleName(translate("VerdictPanel", "Own impression and action"))
        self._context = context
        self._slices_seen = slices_seen
        self._recorder = recorder_of(context)
        self._uid = ""
        self._facts: VerdictFacts | None = None
        self._drafts = Drafts(context.running.history.path.parent, context.jobs, self)
        self._saving: dict[str, str] = {}  # by study, whose answer is on its way into the history
        self._is_draft = False  # what the form says is neither saved nor withdrawn
        self._make_widgets()
        self._writer = self._initials
        self._lay_out()
        self._connect()
        self._refresh()

    # --- what is shown ---------------------------------------------------------------------------------------------

    def show_study(self, study_instance_uid: str) -> None:
        """Take the answer to this study; what was not saved for another one waits there, also for the next session."""
        if study_instance_uid == self._uid:
            self._read()
            return
        if self._is_draft:
            self.say.emit(
                translate("VerdictPanel", "Your impression of the study before is not saved; it waits there for you.")
            )
        self._uid, self._facts = study_instance_uid, None
        self._fill_in()
        self._refresh()
        self._read()

    def end(self) -> None:
        """Keep what is not saved for the next session."""
        self._drafts.end()

    def slices_changed(self) -> None:
        """Another slice came to the screen."""
        text = self._seen_text()
        if text != self.seen.text():
            self.seen.setText(text)
            self.seen.setVisible(bool(text))

    @property
    def answer(self) -> Answer:
        """What the form says now."""
        return Answer(self.impression.key, self.action.key, self.co_rads.currentData(), self.note.toPlainText().strip())

    # --- making ----------------------------------------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.notice = _sentence("verdict_notice", self)
        self.impression = Choice(
            translate("VerdictPanel", "Own impression"),
            {key: _first_up(words.impression_word(key)) for key in IMPRESSIONS},
            self,
        )
        self.action = Choice(
            translate("VerdictPanel", "Action"), {key: _first_up(words.action_word(key)) for key in ACTIONS}, self
        )
        self.co_rads = QComboBox(self)
        self.co_rads.addItem(translate("VerdictPanel", "not given"), None)
        for number in CO_RADS:
            self.co_rads.addItem(str(number), number)
        self.note = NoteField(self)
        self.initials = QLineEdit(self._context.person(), self)
        self.initials.setMaxLength(16)
        self.standing, self.told = Lines("verdict_standing"), Lines("verdict_told")
        self.tell = QPushButton(translate("VerdictPanel", "Who was told…"), self)
        self.tell.setObjectName("escalate")
        self.who = _sentence("verdict_who", self)
        self.seen = _sentence("verdict_seen", self)
        self.save = QPushButton(self)
        self.save.setObjectName("save_verdict")

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setSpacing(4)
        form = QFormLayout()
        form.setVerticalSpacing(4)
        fields: tuple[tuple[str, QWidget], ...] = (
            (translate("VerdictPanel", "CO-RADS (optional)"), self.co_rads),
            (translate("VerdictPanel", "Note"), self.note),
            (translate("VerdictPanel", "Your initials"), self.initials),
        )
        for label, field in fields:
            field.setAccessibleName(label)
            form.addRow(label, field)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        column.addWidget(self.notice)
        column.addWidget(self.impression)
        column.addWidget(self.action)
        column.addLayout(form)
        column.addWidget(self.standing)
        column.addWidget(self.tell)
        column.addWidget(self.told)
        column.addStretch(1)
        self.area = QScrollArea(self)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inside)
        self.area.viewport().setAutoFillBackground(False)
        inside.setAutoFillBackground(False)
        # What is being saved, and of whom, never scrolls away.
        foot = QVBoxLayout()
        foot.setContentsMargins(9, 4, 9, 6)
        foot.addWidget(self.who)
        foot.addWidget(self.seen)
        foot.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.area, 1)
        layout.addLayout(foot)
        self._inside = inside

    def _connect(self) -> None:
        context, actions = self._context, self._context.actions
        for choice in (self.impression, self.action):
            choice.changed.connect(self._edited)
        self.co_rads.currentIndexChanged.connect(self._edited)
        self.note.textChanged.connect(self._edited)
        self.initials.textChanged.connect(self._initials_changed)
        self.initials.editingFinished.connect(self._remember_initials)
        self.save.clicked.connect(self.save_answer)
        self.tell.clicked.connect(self.ask_who_was_told)
        self._recorder.recorded.connect(self._recorded)
        self._recorder.refused.connect(self._refused)
        context.bridge.studies_changed.connect(self._studies_changed)
        context.identities.changed.connect(self._refresh)
        context.site.changed.connect(self._refresh)
        context.user.changed.connect(self._user_changed)
        actions.keys_changed.connect(self._refresh)
        for name, act in (
            ("viewer.verdict", self._come),
            ("viewer.action_now", lambda: self._choose(action="now")),
            ("viewer.action_routine", lambda: self._choose(action="routine")),
            ("viewer.cannot_judge", lambda: self._choose(impression="cannot_judge")),
            ("viewer.save_verdict", self.save_answer),
        ):
            actions[name].triggered.connect(lambda _=False, act=act: act())

    # --- reading ---------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        uid, reading = self._uid, self._context.reading
        if uid:
            self._context.jobs.run(
                lambda: read_verdicts(reading, uid), self._take, self.say.emit, key="verdicts of the study", owner=self
            )

    def _take(self, facts: VerdictFacts | None) -> None:
        if facts is None or facts.row.study_instance_uid != self._uid:
            return
        self._facts = facts
        if not self._is_draft:
            self._fill_in()
        self._refresh()

    def _studies_changed(self, uids: frozenset[str]) -> None:
        if self._uid in uids:
            self._read()

    def _user_changed(self, names: frozenset[str]) -> None:
        initials = self._context.user.value.initials
        if "initials" in names and self._initials != initials:
            self.initials.setText(initials)

    # --- filling in ------------------------------------------------------------------------------------------------

    def _own(self) -> Answer:
        """What this person's own saved answer says: the form then shows it, and a change of it is a correction.

        Another person's answer is never filled in: that would be an answer chosen beforehand.
        """
        said = None if self._facts is None else self._facts.own(self._initials)
        return NOTHING if said is None else Answer(said.impression, said.action, said.co_rads, said.note)

    def _fill_in(self) -> None:
        """Show what this person has begun to say, else what they have saved."""
        draft = None if self._uid in self._saving else self._drafts.of(self._uid, self._initials)
        self._is_draft = draft is not None and draft != self._own()
        self._fill(draft if self._is_draft and draft is not None else self._own())

    def _fill(self, answer: Answer) -> None:
        if answer == self.answer:
            return
        self.impression.choose(answer.impression)
        self.action.choose(answer.action)
        with QSignalBlocker(self.co_rads), QSignalBlocker(self.note):
            self.co_rads.setCurrentIndex(self.co_rads.findData(answer.co_rads))
            self.note.setPlainText(answer.note)

    def _edited(self) -> None:
        answer = self.answer
        if not self._uid:
            return
        self._is_draft = answer != self._own()
        if self._is_draft:
            self._drafts.put(self._uid, self._initials, answer)
        else:
            self._drafts.drop(self._uid, self._initials)
        self._refresh()

    def _choose(self, impression: str = "", action: str = "") -> None:
        """Choose by a key; it is saved by another."""
        if not self._uid or not self._context.writable:
            self.say.emit(self._why_not())
            return
        if impression:
            self.impression.choose(impression)
        if action:
            self.action.choose(action)
        self.wanted.emit()
        self._edited()

    def _come(self) -> None:
        self.wanted.emit()
        self.impression.button(self.impression.key or IMPRESSIONS[0]).setFocus(Qt.FocusReason.ShortcutFocusReason)

    @property
    def _initials(self) -> str:
        return self.initials.text().strip()

    def _initials_changed(self) -> None:
        """Another person sits here: what the one before has saved is not theirs; what stands there unsaved is."""
        before, self._writer = self._writer, self._initials
        if self._is_draft:
            self._drafts.drop(self._uid, before)
            self._edited()
        else:
            self._fill_in()
        self._refresh()

    def _remember_initials(self) -> None:
        if self._initials and self._initials != self._context.person():
            self._context.user.change(initials=self._initials)

    # --- saving ----------------------------------------------------------------------------------------------------

    def save_answer(self) -> None:
        """Save what the form says as a new entry; Ctrl+Z takes it back."""
        why_not = self._why_not()
        if why_not:
            self.wanted.emit()
            self.say.emit(why_not)
            if not self._initials:
                self.initials.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        self._remember_initials()
        said, uid, initials, share = self.answer, self._uid, self._initials, self._share()
        history, shown = self._context.running.history, None if self._facts is None else self._facts.row
        self._saving[uid], self._is_draft = initials, False
        self._recorder.record(
            translate("VerdictPanel", "Save impression"),
            Entry(
                uid,
                lambda: history.save_verdict(
                    uid,
                    impression=said.impression,
                    action=said.action,
                    co_rads=said.co_rads,
                    note=said.note,
                    initials=initials,
                    slices_seen=share,
                    result=None if shown is None else shown.result,
                    revision=None if shown is None else shown.revision,
                ),
                lambda number: history.take_back_verdict(number, initials),
            ),
        )
        self.save.setEnabled(False)
        self.saved.emit()

    def ask_who_was_told(self) -> None:
        """Ask who was told of the study, and record it."""
        if self._facts is None:
            return
        uid, row = self._uid, self._facts.row
        dialog = EscalationDialog(self._initials, self._who(row), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(
            lambda: self._recorder.record(translate("VerdictPanel", "Who was told"), dialog.entry(self._context, uid))
        )
        dialog.open()

    def _recorded(self, uid: str) -> None:
        """Forget the draft of what is in the history now, and not before."""
        by = self._saving.pop(uid, None)
        if by is not None:
            self._drafts.drop(uid, by)

    def _refused(self, uid: str, sentence: str) -> None:
        """Say why something was not recorded; what the form says is still there."""
        self._saving.pop(uid, None)
        self.say.emit(sentence)
        if uid == self._uid:
            self._edited()

    # --- drawing ---------------------------------------------------------------------------------------------------

    def _refresh(self, *_: object) -> None:
        facts, key = self._facts, self._context.actions.shown_key("viewer.save_verdict")
        self._inside.setEnabled(facts is not None and self._context.writable)
        covered = facts is not None and words.is_covered(facts.row, self._context.site.value.look_first)
        self.notice.setText(_look_first() if covered else "")
        self.notice.setVisible(covered)
        self.standing.show_lines(self._standing_lines())
        self.told.show_lines(tuple(map(_told_line, () if facts is None else facts.escalations)))
        hidden = facts is not None and self._context.identities.covered
        self.who.setText(
            translate("VerdictPanel", "This is {who}.").format(who=self._who(facts.row)) if facts and hidden else ""
        )
        self.who.setVisible(hidden)
        why_not = self._why_not()
        text = translate("VerdictPanel", "Save correction") if self._own().says_something else _save_word()
        self.save.setText(text)
        self.save.setAccessibleName(text)
        self.save.setEnabled(not why_not)
        self.save.setToolTip(why_not or key)
        self.save.setAccessibleDescription(why_not)
        self.slices_changed()

    def _standing_lines(self) -> list[Line]:
        facts = self._facts
        if facts is None:
            return []
        lines = []
        if self._is_draft:
            key = self._context.actions.shown_key("viewer.save_verdict")
            lines.append(Line(translate("VerdictPanel", "Not saved yet. {key} saves.").format(key=key), strong=True))
        if facts.standing:
            lines += [Line(saved_text(said), translate("VerdictPanel", "Saved")) for said in facts.standing]
            if not facts.row.read_at:
                lines.append(Line(translate("VerdictPanel", "Files came later: the study waits to be read again.")))
        elif facts.verdicts:
            lines.append(
                Line(translate("VerdictPanel", "Taken back. Nothing is saved for this study; the history keeps both."))
            )
        if model_and_reader_differ(facts.row, self._context.running.points.threshold):
            lines.append(Line(translate("VerdictPanel", "You and the model differ. Both are kept.")))
        return lines

    def _who(self, row: Row) -> str:
        identity = self._context.identity(row)
        parts = (words.identity_text(identity), words.age_sex_text(row), words.study_time_text(row))
        return ", ".join(part for part in parts if part)

    def _why_not(self) -> str:
        """Why nothing can be saved now; "" when it can."""
        if not self._context.writable:
            return translate("VerdictPanel", "This copy of the program is for reading only.")
        if self._facts is None:
            coming = translate("VerdictPanel", "What is known of this study is still being read.")
            return coming if self._uid else translate("VerdictPanel", "No study is open.")
        if not self.answer.says_something:
            return translate("VerdictPanel", "Choose an impression or an action first.")
        if not self._initials:
            return translate("VerdictPanel", "Give your initials first.")
        if self.answer == self._own():
            return translate("VerdictPanel", "This is saved already.")
        return ""

    def _share(self) -> float | None:
        now = self._slices_seen()
        before = None if self._facts is None else self._facts.seen_before(self._initials)
        return max((one for one in (now, before) if one is not None), default=None)

    def _seen_text(self) -> str:
        is_saved = self.answer.says_something and self.answer == self._own()
        share = self._share() if self._facts is not None and not is_saved else None
        return "" if share is None or share >= FEW_SEEN else seen_text(share)


# --- words ---------------------------------------------------------------------------------------------------------


def saved_text(said: Verdict) -> str:
    """Return a verdict in words, with the time of its saving."""
    return translate("VerdictPanel", "{verdict}, {time}").format(
        verdict=verdict_text(said), time=words.moment_text(said.at)
    )


def verdict_text(said: Verdict) -> str:
    """Return a verdict in words: what, what to do, CO-RADS, note, how much was seen, by whom."""
    parts = [words.impression_word(said.impression), words.action_word(said.action)]
    if said.co_rads is not None:
        parts.append(translate("VerdictPanel", "CO-RADS {number}").format(number=said.co_rads))
    if said.note:
        parts.append(translate("VerdictPanel", "“{note}”").format(note=said.note))
    if said.slices_seen is not None and said.slices_seen < FEW_SEEN:
        parts.append(seen_text(said.slices_seen))
    parts.append(said.initials)
    return ", ".join(part for part in parts if part)


def seen_text(share: float) -> str:
    """Return how many of the slices have been on the screen; never rounded up to more than were."""
    return translate("VerdictPanel", "{percent} % of slices seen").format(percent=QLocale().toString(int(100 * share)))


def escalation_text(entry: Escalation) -> str:
    """Return who was told, with the note, and by whom."""
    return ", ".join(part for part in (entry.told, entry.note, entry.initials) if part)


def _told_line(entry: Escalation) -> Line:
    label = translate("VerdictPanel", "Taken back") if entry.taken_back else translate("VerdictPanel", "Told")
    text = translate("VerdictPanel", "{entry}, {time}")
    return Line(text.format(entry=escalation_text(entry), time=words.moment_text(entry.at)), label)


def _save_word() -> str:
    return translate("VerdictPanel", "Save impression")


def _look_first() -> str:
    return translate(
        "VerdictPanel", "Look first: the score and the map are covered until your own impression is saved."
    )


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def _same_person(one: str, other: str) -> bool:
    return bool(one) and one.casefold() == other.casefold()


def _sentence(name: str, parent: QWidget) -> QLabel:
    label = QLabel(parent, textFormat=Qt.TextFormat.PlainText)
    label.setObjectName(name)
    wrap(label)
    label.hide()
    return label
