"""The certificate of the site, on the screen and as PDF: what, whom, when, with which figures, within which limits."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import QBuffer, QCoreApplication, QIODevice, QMarginsF, QStandardPaths, Qt
from PySide6.QtGui import QPageLayout, QPageSize, QPdfWriter, QResizeEvent, QTextDocument
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QTextBrowser, QWidget

from aicorona_desktop.app.certificate import ends_at, interval_of
from aicorona_desktop.core.durable import write_file
from aicorona_desktop.history.store import SiteVerification
from aicorona_desktop.triage.operating_point import PointInUse
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.escalation_dialog import allow_saving, save_or_not
from aicorona_desktop.ui.fold import Lines
from aicorona_desktop.ui.footer import notice_words
from aicorona_desktop.ui.site_words import day, lapse_text, number
from aicorona_desktop.ui.study_words import class_name, decimal, device_name, rule_name
from aicorona_desktop.ui.verification_parts import Page, allow, button
from aicorona_desktop.ui.verification_setting import record
from aicorona_desktop.ui.verification_words import area, percent, status_lines

translate = QCoreApplication.translate

MARGIN_MM = 18.0
PDF_DPI = 300

Rows = Sequence[tuple[str, str]]


class WholeText(QTextBrowser):
    """Text to read, as high as it is long: the page around it scrolls."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Be as high as the text is at this width."""
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Be as high as the text."""
        self.setFixedHeight(round(self.document().size().height()) + 2 * self.frameWidth() + 2)


class CertificatePage(Page):
    """The certificate that holds, or the last one with the reason why it doesn't."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("verification_certificate_page", parent)
        self.context = context
        self.shown: SiteVerification | None = None
        self.status = Lines("certificate_status")
        self.view = WholeText(self)
        self.view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setObjectName("certificate_view")
        self.view.setOpenLinks(False)
        self.view.setAccessibleName(translate("Verification", "Certificate"))
        self.save = button("certificate_save", translate("Verification", "Save as PDF…"), self._ask_place, self)
        self.withdraw = button("certificate_withdraw", translate("Verification", "Withdraw…"), self._ask_withdraw, self)
        buttons = QWidget(self)
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.save)
        row.addWidget(self.withdraw)
        row.addStretch(1)
        self.add_group("certificate", translate("Verification", "Certificate"), [self.status, buttons, self.view], None)
        self.close_column()
        context.site.changed.connect(self._changed)

    def enter(self) -> None:
        """Show what holds now."""
        point = self.context.running.points.in_use()
        self.shown = point.verification or point.lapsed
        self.status.show_lines(status_lines(point, self.context.now()))
        text = "" if self.shown is None else certificate_html(self.shown, point)
        self.view.setHtml(text)
        self.view.setVisible(self.shown is not None)
        self.view.fit()
        none = translate("Verification", "There is no certificate: the operating point of this site was never set.")
        allow(self.save, none if self.shown is None else "")
        allow(self.withdraw, self._why_not_withdraw(point))

    def _changed(self, _: object) -> None:
        if self.isVisible():
            self.enter()

    def _why_not_withdraw(self, point: PointInUse) -> str:
        if not self.context.writable:
            return translate("Verification", "This copy of the program is for reading only.")
        if point.verification is None:
            return translate("Verification", "No certificate holds.")
        return ""

    # --- as PDF ----------------------------------------------------------------------------------------------------

    def _ask_place(self) -> None:
        if self.shown is None:
            return
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        name = f"verification-{self.shown.at.astimezone():%Y-%m-%d}.pdf"
        title = translate("Verification", "Save the certificate")
        chosen, _ = QFileDialog.getSaveFileName(self, title, str(Path(folder) / name), "PDF (*.pdf)")
        if chosen:
            self.save_pdf(Path(chosen))

    def save_pdf(self, path: Path) -> None:
        """Write the certificate as PDF, whole or not at all."""
        if self.shown is None:
            return
        page = pdf_of(certificate_html(self.shown, self.context.running.points.in_use()))
        try:
            write_file(path, page)
        except OSError:
            self.say.emit(translate("Verification", "The certificate could not be written; is the folder closed?"))
            return
        self.say.emit(translate("Verification", "The certificate was saved as {name}.").format(name=path.name))

    # --- withdrawing -------------------------------------------------------------------------------------------------

    def _ask_withdraw(self) -> None:
        sheet = WithdrawSheet(self.context.person(), self)
        sheet.accepted.connect(lambda: self.take_back(sheet.name.text(), sheet.initials.text(), sheet.why.text()))
        sheet.open()

    def take_back(self, name: str, initials: str, why: str) -> None:
        """Withdraw the site's operating point; the pack's holds from then on, if it has one."""
        own = self.context.running.points.in_use().verification
        if own is None:
            return
        who, short = name.strip(), initials.strip()
        withdrawn = replace(own, name=who, initials=short, why=why.strip(), at=self.context.now(), withdrawn=True)
        record(self.context, withdrawn, self)


class WithdrawSheet(Sheet):
    """Asks who withdraws the operating point, and why."""

    def __init__(self, initials: str, parent: QWidget | None = None) -> None:
        super().__init__(translate("Verification", "Withdraw the operating point"), parent, (70, 12))
        self.add_heading(translate("Verification", "The site is then not verified any more. Both stay in the history."))
        self.name, self.initials, self.why = QLineEdit(self), QLineEdit(initials, self), QLineEdit(self)
        form = QFormLayout()
        for field, title in (
            (self.name, translate("Verification", "Name")),
            (self.initials, translate("Verification", "Initials")),
            (self.why, translate("Verification", "Why")),
        ):
            field.setAccessibleName(title)
            field.textChanged.connect(lambda _: self._show_state())
            form.addRow(title, field)
        self.body.addLayout(form)
        self._box: QDialogButtonBox = save_or_not(self)
        self._show_state()

    def _show_state(self) -> None:
        missing = translate("Verification", "Name, initials and reason are needed.")
        whole = all(field.text().strip() for field in (self.name, self.initials, self.why))
        allow_saving(self._box, "" if whole else missing)


# --- the page ------------------------------------------------------------------------------------------------------


def certificate_html(own: SiteVerification, point: PointInUse) -> str:
    """Return the certificate as a page of its own; every foreign text in it is escaped."""
    kept = own.certificate
    title = translate("Verification", "Verification of a model at this site")
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p><b>{html.escape(notice_words())}</b></p>"]
    if point.verification is None and point.lapse is not None:
        lapsed = translate("Verification", "It does not hold any more: {why}.").format(why=lapse_text(point))
        parts.append(f"<p><b>{html.escape(lapsed)}</b></p>")
    groups = (
        (translate("Verification", "What and by whom"), _what(own, kept)),
        (translate("Verification", "Figures"), _figures(own, kept)),
        (translate("Verification", "Studies"), _studies(own, kept)),
    )
    for heading, rows in groups:
        parts.append(f"<h2>{html.escape(heading)}</h2>{_table(rows)}")
    limits = "".join(f"<li>{html.escape(one)}</li>" for one in _limits(kept))
    parts.append(f"<h2>{html.escape(translate('Verification', 'Limits'))}</h2><ul>{limits}</ul>")
    return "".join(parts)


def pdf_of(page: str) -> bytes:
    """Return a page of HTML as PDF, A4."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setResolution(PDF_DPI)
    writer.setCreator("aicorona-desktop")
    writer.setTitle(translate("Verification", "Verification of a model at this site"))
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    margins = QMarginsF(MARGIN_MM, MARGIN_MM, MARGIN_MM, MARGIN_MM)
    writer.setPageMargins(margins, QPageLayout.Unit.Millimeter)
    document = QTextDocument()
    document.setDefaultStyleSheet(
        "body, td, li, p { font-size: 10pt; } h1 { font-size: 16pt; } h2 { font-size: 12pt; }"
    )
    document.setHtml(f"<body>{page}</body>")
    document.print_(writer)
    del writer  # it writes the end of the file when it goes
    return bytes(buffer.data().data())


def _table(rows: Rows) -> str:
    cells = (
        f'<tr><td width="36%" style="padding-right: 12px">{html.escape(name)}</td><td>{html.escape(value)}</td></tr>'
        for name, value in rows
        if value
    )
    return f'<table width="100%" cellspacing="0" cellpadding="2">{"".join(cells)}</table>'


def _what(own: SiteVerification, kept: Mapping[str, Any]) -> Rows:
    return (
        (translate("Verification", "Set by"), _who(own)),
        (translate("Verification", "Set on"), _moment(own.at)),
        (translate("Verification", "Why this point"), own.why),
        (translate("Verification", "Holds until"), day(ends_at(own))),
        (translate("Verification", "Model pack"), str(kept.get("pack", ""))),
        (translate("Verification", "Status"), str(kept.get("pack_status", ""))),
        (translate("Verification", "SHA-256 of the pack"), own.pack_sha256),
        (translate("Verification", "Device"), device_name(own.device)),
        (translate("Verification", "Preparation of the images"), own.preparation),
        (translate("Verification", "Slices used"), rule_name(str(kept.get("slice_rule", "")))),
        (translate("Verification", "Program version"), str(kept.get("application_version", ""))),
    )


def _figures(own: SiteVerification, kept: Mapping[str, Any]) -> Rows:
    auc, se, sp, ppv, npv = (interval_of(kept, name) for name in ("auc", "sensitivity", "specificity", "ppv", "npv"))
    counts = kept.get("counts") or []
    point = decimal(100 * own.operating_point, 1)
    rule = str(kept.get("rule", ""))
    if rule:
        point = translate("Verification", "{point} (rule {rule})").format(point=point, rule=rule)
    share = decimal(100 * float(kept.get("prevalence") or 0), 1)
    at = translate("Verification", "{name} where {share} % have COVID-19")
    of = translate("Verification", "{figure}, {count} of {all}")
    caught = spared = ""
    if len(counts) == 4 and se is not None and sp is not None:
        tp, fn, fp, tn = (int(one) for one in counts)
        caught = of.format(figure=percent(se), count=number(tp), all=number(tp + fn))
        spared = of.format(figure=percent(sp), count=number(tn), all=number(fp + tn))
    return (
        (translate("Verification", "Operating point"), point),
        (translate("Verification", "AUC"), "" if auc is None else area(auc)),
        (translate("Verification", "Sensitivity"), caught),
        (translate("Verification", "Specificity"), spared),
        (
            at.format(name=translate("Verification", "Flags that are right"), share=share),
            "" if ppv is None else percent(ppv),
        ),
        (
            at.format(name=translate("Verification", "Others without COVID-19"), share=share),
            "" if npv is None else percent(npv),
        ),
    )


def _studies(own: SiteVerification, kept: Mapping[str, Any]) -> Rows:
    of_class = kept.get("of_class") or {}
    classes = ", ".join(
        f"{class_name(name)} {number(int(of_class.get(name, 0)))}" for name in ("covid", "cp", "normal")
    )
    return (
        (translate("Verification", "Studies with a score"), number(own.studies)),
        (translate("Verification", "By label"), classes if of_class else ""),
        (translate("Verification", "Patients"), number(int(kept["patients"])) if "patients" in kept else ""),
        (translate("Verification", "Without a score"), number(int(kept["failed"])) if "failed" in kept else ""),
        (translate("Verification", "Scanners"), ", ".join(map(str, kept.get("scanners") or []))),
    )


def _limits(kept: Mapping[str, Any]) -> list[str]:
    """Return the limits as sentences; a limit that this version doesn't know is left out."""
    templates = {
        "chosen_here": translate(
            "Verification", "The point was chosen on the studies that the figures are of: they flatter."
        ),
        "few": translate(
            "Verification", "Few studies: {0} with COVID-19 and {1} others. The intervals say how little."
        ),
        "failed": translate("Verification", "{0} of {1} studies could not be scored and are not in the figures."),
        "small_groups": translate("Verification", "Too few studies to say anything of: {0}."),
        "devices": translate("Verification", "The studies were scored on several devices: {0}."),
        "repeated": translate("Verification", "{1} studies are of {0} patients only; the intervals are by patient."),
    }
    sentences = [
        templates[limit[0]].format(*limit[1:]) for limit in kept.get("limits") or [] if limit and limit[0] in templates
    ]
    return [
        *sentences,
        translate("Verification", "It says nothing of other scanners, protocols or patients than those above."),
        translate("Verification", "No flag does not rule out disease. Every study must be read."),
    ]


def _who(own: SiteVerification) -> str:
    return f"{own.name} ({own.initials})" if own.name else own.initials


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
