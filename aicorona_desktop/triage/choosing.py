"""A person's choice of the series to score, beside the rules' own (`dicom.series.choose_series`)."""

from __future__ import annotations

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.study import Series, SeriesChoice, Study
from aicorona_desktop.dicom.gate import may_be_scored, merged
from aicorona_desktop.dicom.series import choose_series


class ChoiceError(AicoronaError):
    """What a person has chosen can't be scored."""


def chosen(study: Study, series_instance_uid: str | None, by: str = "", *, anyway: bool = False) -> SeriesChoice:
    """Return the choice of a series by a person; the reason says so, and what the rules would have chosen.

    Args:
        study: what it is chosen from.
        series_instance_uid: the series; None leaves it to the rules, which may fall back to the best unsuitable one.
        by: who chose, kept in the reason.
        anyway: whether a series, or a study, that the rules find unsuitable may be chosen.

    Raises:
        ChoiceError: no such series, it has no readable slices, or it is unsuitable and `anyway` is not set.
    """
    by_rules = choose_series(study)
    if series_instance_uid is None and by_rules.series is not None:
        return by_rules
    series = _named(by_rules, series_instance_uid)
    if series is None:
        raise ChoiceError("This series has no slices that could be read.")
    findings = merged((*study.findings, *series.findings))
    if not anyway and not may_be_scored(findings):
        raise ChoiceError(f"This series is not suitable for scoring. {findings[0]}")
    who = f" by {by}" if by else " by a person"
    reason = f"{_title(series)}: chosen{who}; by the rules: {by_rules.reason}"
    return SeriesChoice(series, reason, findings, by_rules.checked)


def _named(choice: SeriesChoice, uid: str | None) -> Series | None:
    readable = (one for one in choice.checked if one.instances)
    return next((one for one in readable if uid in (None, one.series_instance_uid)), None)


def _title(series: Series) -> str:
    return "series without a number" if series.series_number is None else f"series {series.series_number}"
