"""The panel of a reader's answer to a case, and what the model says of it in an aided session."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.reader_study import Answer, Reading
from aicorona_desktop.app.reader_study_design import Design
from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.escalation_dialog import NoteField
from aicorona_desktop.ui.fold import Line, Lines, wrap
from aicorona_desktop.ui.study_panel import ClassBar
from aicorona_desktop.ui.study_words import class_name, points
from aicorona_desktop.ui.verdict_panel import Choice

translate = QCoreApplication.translate

KEYS: Final = {"normal": "viewer.action_now", "cp": "viewer.action_routine", "covid": "viewer.cannot_judge"}
"""The keys of the verdict, one a class."""

SAVE: Final = "viewer.save_verdict"
NOT_GIVEN: Final = -1
YES, NO = "yes", "no"


def answer_words(name: str) -> str:
    """Return what a reader answers, by class."""
    return {
        "normal": translate("ReaderStudy", "No abnormality seen"),
        "cp": translate("ReaderStudy", "Other abnormality"),
        "covid": translate("ReaderStudy", "COVID-19 pattern"),
    }[name]


class AnswerPanel(QWidget):
    """Asks for one answer a case; nothing is chosen beforehand."""

    wanted = Signal(object)  # Answer: it is to be saved

    def __init__(self, design: Design, actions: Actions, *, aided: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("reader_study_answer")
        self.setAccessibleName(translate("ReaderStudy", "Your answer"))
        self._design = design
        self._actions = actions
        self._before_model = False
        self.model = ModelBox(self) if aided else None
        self._choices = self._made_choices()
        self.confidence = QSpinBox(self)
        self.confidence.setRange(NOT_GIVEN, 100)
        self.confidence.setSpecialValueText(translate("ReaderStudy", "not given"))
        self.note = NoteField(self)
        self.missing = QLabel(self, textFormat=Qt.TextFormat.PlainText)
        wrap(self.missing)
        self.save = QPushButton(self)
        self.save.setObjectName("save_answer")
        self.save.clicked.connect(lambda _=False: self.try_to_save())
        for choice in self._choices.values():
            choice.changed.connect(self._refresh)
        self._lay_out()
        self._connect_keys()
        self._refresh()

    # --- what others ask for ----------------------------------------------------------------------------------------

    def show_case(self, reading: Reading, model: tuple[Triple | None, float | None] | None) -> None:
        """Show what was answered so far; `model` is what it said and where it flags, None while it is covered."""
        self._before_model = self._design.sequential and self.model is not None and not reading.revealed
        answer = reading.answer or reading.first
        self._choose(answer)
        self.note.setPlainText("" if answer is None else answer.note)
        given = answer is not None and answer.confidence is not None
        self.confidence.setValue(int(answer.confidence or 0) if answer is not None and given else NOT_GIVEN)
        if self.model is not None:
            self.model.show_model(model)
        self._refresh()

    @property
    def answer(self) -> Answer | None:
        """What the form says; None while something is missing."""
        yes = self._yes()
        if yes is None:
            return None
        value = self.confidence.value()
        asked = self._design.confidence and value != NOT_GIVEN
        return Answer(yes, float(value) if asked else None, self.note.toPlainText().strip())

    def try_to_save(self) -> None:
        """Have the answer saved, or say what is missing."""
        answer = self.answer
        if answer is not None:
            self.wanted.emit(answer)
            return
        self.missing.setText(
            translate("ReaderStudy", "Choose an answer.")
            if self._design.exclusive
            else translate("ReaderStudy", "Say Yes or No to each of the three.")
        )
        self.missing.show()

    def choose(self, name: str) -> None:
        """Choose a class, as its key does; without exclusive answers the key goes from Yes to No and back."""
        if self._design.exclusive:
            self._choices[""].button(name).setChecked(True)
            return
        choice = self._choices[name]
        choice.button(NO if choice.key == YES else YES).setChecked(True)

    # --- making -----------------------------------------------------------------------------------------------------

    def _made_choices(self) -> dict[str, Choice]:
        """One choice of three classes, or Yes and No for each."""
        if self._design.exclusive:
            words = {name: self._keyed(name) for name in CLASSES}
            return {"": Choice(translate("ReaderStudy", "Your answer"), words, self)}
        yes_no = {YES: translate("ReaderStudy", "Yes"), NO: translate("ReaderStudy", "No")}
        return {name: Choice(self._keyed(name), yes_no, self) for name in CLASSES}

    def _keyed(self, name: str) -> str:
        key = self._actions.shown_key(KEYS[name])
        return f"{answer_words(name)} ({key})" if key else answer_words(name)

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        if self.model is not None:
            column.addWidget(self.model)
        for choice in self._choices.values():
            column.addWidget(choice)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        fields: list[tuple[str, QWidget]] = [(translate("ReaderStudy", "Note"), self.note)]
        if self._design.confidence:
            fields.insert(0, (translate("ReaderStudy", "How sure that it is COVID-19, 0 to 100"), self.confidence))
        self.confidence.setVisible(self._design.confidence)
        for label, field in fields:
            field.setAccessibleName(label)
            form.addRow(label, field)
        column.addLayout(form)
        column.addStretch(1)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        area.viewport().setAutoFillBackground(False)
        inside.setAutoFillBackground(False)
        foot = QVBoxLayout()
        foot.setContentsMargins(9, 4, 9, 6)
        foot.addWidget(self.missing)
        foot.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        layout.addLayout(foot)
        self.setMinimumWidth(inside.minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width())

    def _connect_keys(self) -> None:
        for name, action in KEYS.items():
            self._actions[action].triggered.connect(lambda _=False, name=name: self.choose(name))
        self._actions[SAVE].triggered.connect(lambda _=False: self.try_to_save())

    # --- drawing ----------------------------------------------------------------------------------------------------

    def _yes(self) -> tuple[bool, bool, bool] | None:
        if self._design.exclusive:
            key = self._choices[""].key
            said = {name: name == key for name in CLASSES} if key else {}
        else:
            said = {name: self._choices[name].key == YES for name in CLASSES if self._choices[name].key}
        return (said["normal"], said["cp"], said["covid"]) if len(said) == len(CLASSES) else None

    def _choose(self, answer: Answer | None) -> None:
        said = {} if answer is None else dict(zip(CLASSES, answer.yes, strict=True))
        if self._design.exclusive:
            self._choices[""].choose(next((name for name, yes in said.items() if yes), ""))
            return
        for name, choice in self._choices.items():
            choice.choose((YES if said[name] else NO) if said else "")

    def _refresh(self) -> None:
        self.missing.setVisible(False)
        text = (
            translate("ReaderStudy", "Save first impression")
            if self._before_model
            else translate("ReaderStudy", "Save and go on")
        )
        key = self._actions.shown_key(SAVE)
        self.save.setText(f"{text} ({key})" if key else text)


class ModelBox(QWidget):
    """What the model says of the case: three values, the flag, and how to see its map; covered until it may be seen."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("reader_study_model")
        self.lines = Lines("reader_study_model_lines")
        self.bars = {name: ClassBar(name) for name in reversed(CLASSES)}
        heading = QLabel(translate("ReaderStudy", "Model score"), self)
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(heading)
        for bar in self.bars.values():
            column.addWidget(bar)
        column.addWidget(self.lines)

    def show_model(self, model: tuple[Triple | None, float | None] | None) -> None:
        """Show the three values and the operating point; None for the values: there is no score; None: covered."""
        values = None if model is None else model[0]
        for name, bar in self.bars.items():
            bar.setVisible(values is not None)
            bar.show_value(class_name(name), 0.0 if values is None else values[CLASSES.index(name)])
        self.lines.show_lines(self._lines(model))

    @staticmethod
    def _lines(model: tuple[Triple | None, float | None] | None) -> list[Line]:
        if model is None:
            return [Line(translate("ReaderStudy", "Covered until your first impression is saved."))]
        values, point = model
        if values is None:
            return [Line(translate("ReaderStudy", "The model has no score of this case."))]
        lines = []
        if point is not None:
            flagged = values[CLASSES.index("covid")] >= point
            text = (
                translate("ReaderStudy", "At or above the operating point {point}: flag.")
                if flagged
                else translate(
                    "ReaderStudy", "Below the operating point {point}: no flag. This does not rule out disease."
                )
            )
            lines.append(Line(text.format(point=points(point))))
        lines.append(Line(translate("ReaderStudy", "The map shows what moved the score, not where disease is.")))
        return lines
