"""How the site's own verification stands, in the few words that the footer and the panels say; light to import."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import QCoreApplication, QLocale

from aicorona_desktop.history.store import SiteVerification
from aicorona_desktop.triage.operating_point import Lapse, PointInUse
from aicorona_desktop.ui.study_words import decimal, not_verified

translate = QCoreApplication.translate


def number(value: int) -> str:
    """Return a count in the marks of the user's language."""
    return QLocale().toString(value)


def footer_words(point: PointInUse, now: datetime) -> tuple[str, str, bool]:
    """Return what the footer says of the site's verification, in full and in short, and whether somebody must act."""
    own = point.verification
    if own is None:
        why = lapse_text(point)
        text = translate("Verification", "{banner}: {why}").format(banner=not_verified(), why=why)
        return (text if why else not_verified()), not_verified(), True
    days = point.days_left(now)
    if days is not None:
        return verified_text(own), translate("Verification", "Verified here for %n more day(s)", "", days), True
    return verified_text(own), verified_text(own), False


def verified_text(own: SiteVerification) -> str:
    """Return that a site is verified: n, AUC, date."""
    kept = own.certificate.get("auc") or {}
    auc = kept.get("value")
    if auc is None:
        text = translate("Verification", "Verified on this site: n {studies}, {day}")
        return text.format(studies=number(own.studies), day=day(own.at))
    text = translate("Verification", "Verified on this site: n {studies}, AUC {auc}, {day}")
    return text.format(studies=number(own.studies), auc=decimal(auc, 2), day=day(own.at))


def lapse_text(point: PointInUse) -> str:
    """Return why a verification doesn't hold any more; "" where there never was one."""
    if point.lapse is None:
        return ""
    return {
        Lapse.PACK: translate("Verification", "the verification was of another model pack"),
        Lapse.DEVICE: translate("Verification", "the verification was on another device"),
        Lapse.PREPARATION: translate("Verification", "the images are prepared in another way now"),
        Lapse.AGE: translate("Verification", "the verification is older than twelve months"),
        Lapse.WITHDRAWN: translate("Verification", "the operating point was withdrawn"),
    }[point.lapse]


def day(moment: datetime) -> str:
    """Return the date of a moment here, as ISO has it."""
    return f"{moment.astimezone():%Y-%m-%d}"
