"""A named person sets the operating point of the site, or takes it back: who, when and why are kept (ux.md 8.2)."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import QFormLayout, QHBoxLayout, QLineEdit, QWidget

from aicorona_desktop.app.certificate import Setting, verification_of
from aicorona_desktop.app.verification_result import FEWEST, Judged, SiteResult
from aicorona_desktop.history.store import SiteVerification, VerificationRun
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.site_words import number
from aicorona_desktop.ui.verification_parts import allow, button

translate = QCoreApplication.translate

POINT_CHANGED = frozenset({"operating_point"})
"""What the settings of the site say has changed: list, panels and footer then ask for the point anew."""


class SettingForm(QWidget):
    """Name, initials, reason and one button; greyed with the reason until all is there."""

    was_set = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._judged: Judged | None = None
        self._run: VerificationRun | None = None
        self._result: SiteResult | None = None
        self._rule, self._prevalence = "", 0.0
        self.name, self.initials, self.why = QLineEdit(self), QLineEdit(self), QLineEdit(self)
        self.set = button("setting_set", translate("Verification", "Set this operating point"), self._set, self)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        for key, field, title in (
            ("name", self.name, translate("Verification", "Name of the person who decides")),
            ("initials", self.initials, translate("Verification", "Initials")),
            ("why", self.why, translate("Verification", "Why this point")),
        ):
            field.setObjectName(f"setting_{key}")
            field.setAccessibleName(title)
            field.setMaxLength(12 if field is self.initials else 300)
            field.textChanged.connect(lambda _: self._show_state())
            form.addRow(title, field)
        buttons = QHBoxLayout()
        buttons.addWidget(self.set)
        buttons.addStretch(1)
        form.addRow("", buttons)
        self.initials.setText(context.person())
        self._show_state()

    def show_judged(
        self, judged: Judged | None, run: VerificationRun, result: SiteResult, rule: str, prevalence: float = 0.0
    ) -> None:
        """Take what would be set now; None while it is being worked out."""
        self._judged, self._run, self._result = judged, run, result
        self._rule, self._prevalence = rule, prevalence
        self._show_state()

    def why_not(self) -> str:
        """Return why nothing can be set now; "" when it can."""
        if not self._context.writable:
            return translate("Verification", "This copy of the program is for reading only.")
        if self._judged is None or self._run is None or self._result is None:
            return translate("Verification", "The figures are being worked out.")
        return self._why_not_from(self._judged, self._run) or self._missing()

    def _why_not_from(self, judged: Judged, run: VerificationRun) -> str:
        if run.ended_at is None:
            return translate("Verification", "The run is not finished.")
        if run.pack_sha256 != self._context.running.pack.sha256:
            return translate("Verification", "These studies were scored by another model pack.")
        if min(judged.counts.positives, judged.counts.negatives) < FEWEST:
            text = translate(
                "Verification", "n is too small: {covid} with COVID-19 and {others} others; {fewest} each."
            )
            return text.format(
                covid=number(judged.counts.positives), others=number(judged.counts.negatives), fewest=number(FEWEST)
            )
        return ""

    def _missing(self) -> str:
        for field, sentence in (
            (self.name, translate("Verification", "The name of the person who decides is missing.")),
            (self.initials, translate("Verification", "The initials are missing.")),
            (self.why, translate("Verification", "Say why this point was chosen.")),
        ):
            if not field.text().strip():
                return sentence
        return ""

    def _show_state(self) -> None:
        allow(self.set, self.why_not())

    def _set(self) -> None:
        judged, run, result = self._judged, self._run, self._result
        if self.why_not() or judged is None or run is None or result is None:
            return
        said = Setting(
            self.name.text().strip(),
            self.initials.text().strip(),
            self.why.text().strip(),
            self._rule,
            self._prevalence,
        )
        pack = self._context.running.pack
        record(
            self._context,
            verification_of(said, judged, result, pack=pack, run=run.number, at=self._context.now()),
            self,
        )
        self.why.clear()


def record(context: Context, verification: SiteVerification, form: SettingForm | QWidget) -> None:
    """Put a verification into the history, and have everybody ask for the point anew."""
    running = context.running

    def work() -> None:
        running.history.record_site_verification(verification)
        running.points.refresh()

    def done(_: None) -> None:
        context.site.changed.emit(POINT_CHANGED)
        if isinstance(form, SettingForm):
            form.was_set.emit()

    context.jobs.run(work, done, lane="ledger", owner=form)
