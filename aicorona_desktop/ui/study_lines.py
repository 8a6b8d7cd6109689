"""What stands in each group of the study panel, as lines of text; made from facts, without a widget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import QCoreApplication, QLocale

from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.score import CLASSES, Score
from aicorona_desktop.core.study import LeftOut
from aicorona_desktop.history.store import StoredResult
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.triage.maps import StudyMaps
from aicorona_desktop.ui import study_words as words
from aicorona_desktop.ui.colour_bar import map_sentence
from aicorona_desktop.ui.finding_words import finding_text
from aicorona_desktop.ui.fold import Line
from aicorona_desktop.ui.map_layer import MapLayer, MapState, wrong_text
from aicorona_desktop.ui.site_words import day, verified_text
from aicorona_desktop.ui.study_facts import SeriesOffer, StudyFacts, Threshold, slices_to_score
from aicorona_desktop.ui.worklist_words import grade_word, moment_text, state_text

translate = QCoreApplication.translate

FILES_SHOWN = 200
"""More files left out than this are counted, not named."""


def score_lines(facts: StudyFacts, score: Score, pack: Pack, threshold: Threshold | None) -> list[Line]:
    """Return what belongs to the number: its state, its fragility, the operating point."""
    lines = [Line(words.standing_text(score, slices_to_score(score, pack)))]
    if facts.row.preliminary and not score.preliminary:
        lines.append(Line(translate("StudyPanel", "Files came later: this score is of the study as it was before.")))
    if score.preliminary and score.pack_sha256 == pack.sha256:
        lines.append(Line(words.uncertainty_text(score, pack.temperature)))
    if score.fragility is not None and not score.preliminary and round(100 * score.fragility.half_spread):
        lines.append(Line(words.spread_explained()))
    if score.fragility is not None and score.fragility.rests_on_one_slice:
        lines.append(Line(words.one_slice_text(), strong=True))
    return lines + threshold_lines(score, threshold)


def threshold_lines(score: Score, threshold: Threshold | None) -> list[Line]:
    """Return the operating point, where it comes from, and what follows from it for this score."""
    label = translate("StudyPanel", "Operating point")
    if threshold is None:
        none = translate("StudyPanel", "not set; the list is ordered, nothing is flagged")
        return [Line(none, label), Line(words.not_verified(), strong=True)]
    value = words.decimal(100 * threshold.value, 1)
    own = threshold.verification
    if own is not None:
        text = translate("StudyPanel", "{value}, verified at this site on {date} with {studies} studies ({initials})")
        shown = text.format(
            value=value, date=day(own.at), studies=QLocale().toString(own.studies), initials=own.initials
        )
    else:
        text = translate("StudyPanel", "{value}, from the model pack ({origin})")
        shown = text.format(value=value, origin=threshold.origin)
    flag = (
        translate("StudyPanel", "At or above the operating point: look at this first.")
        if score.p_covid >= threshold.value
        else translate("StudyPanel", "No flag. This does not rule out disease.")
    )
    lines = [Line(shown, label), Line(flag, strong=True)]
    return [*lines, Line(words.not_verified(), strong=True)] if own is None else [*lines, Line(verified_text(own))]


def waiting_lines(row: Row) -> list[Line]:
    """Return what is said while there is no score yet."""
    text = {
        State.QUEUED: translate("StudyPanel", "No score yet: the study waits for its turn."),
        State.RUNNING: translate("StudyPanel", "No score yet: the study is being scored."),
        State.PRELIMINARY: translate("StudyPanel", "No score yet: the study is being scored."),
    }.get(row.state, translate("StudyPanel", "No score yet: {state}.").format(state=state_text(row)))
    return [Line(text)]


def series_lines(facts: StudyFacts, pack: Pack) -> list[Line]:
    """Return which series and slices were used, and why."""
    row, lines = facts.row, []
    if row.series_instance_uid:
        lines.append(Line(series_title(row.series_number, row.series_description), translate("StudyPanel", "Used")))
    if row.series_reason:
        lines.append(Line(row.series_reason, translate("StudyPanel", "Why")))
    if facts.result is not None:
        score = facts.result.score
        text = translate("StudyPanel", "{used} of {all}").format(
            used=QLocale().toString(len(score.slice_indices)), all=QLocale().toString(score.slices_total)
        )
        if score.pack_sha256 == pack.sha256:
            rule = words.rule_name(pack.slice_rule)
            text = translate("StudyPanel", "{counts} ({rule})").format(counts=text, rule=rule)
        lines.append(Line(text, translate("StudyPanel", "Slices used")))
    return lines


def series_title(number: int | None, description: str) -> str:
    """Return what a series is called: its number and description, as far as it has them."""
    name = description.strip() or translate("StudyPanel", "without a name")
    if number is None:
        return name
    return translate("StudyPanel", "series {number}, {name}").format(number=number, name=name)


def offer_text(offer: SeriesOffer) -> str:
    """Return one series that could be used, with the gate's grade and its gravest reason."""
    text = translate("StudyPanel", "{title}: {slices} slices. {grade}.").format(
        title=series_title(offer.number, offer.description),
        slices=QLocale().toString(offer.slices),
        grade=words.grade(offer.findings),
    )
    gravest = max(offer.findings, key=lambda one: one.outcome.gravity, default=None)
    return text if gravest is None else f"{text} {gravest}"


def suitability_lines(findings: Sequence[Finding]) -> list[Line]:
    """Return the notes on a study, the gravest first, each under its grade."""
    if not findings:
        return [Line(translate("StudyPanel", "Nothing was noticed about the files that speaks against scoring them."))]
    ordered = sorted(findings, key=lambda one: -one.outcome.gravity)
    return [Line(finding_text(one), grade_word(one.outcome)) for one in ordered]


def map_lines(layer: MapLayer, shown_class: str) -> list[Line]:
    """Return whether the maps are those of the score, in numbers, and the sentence that belongs to every map."""
    if layer.maps is None or layer.state not in (MapState.READY, MapState.WRONG):
        said = layer.sentence or translate("StudyPanel", "Maps start hidden. M shows them.")
        return [Line(said), Line(map_sentence())]
    lines = [Line(map_sentence())]
    if layer.state is MapState.WRONG:
        lines.insert(0, Line(wrong_text(), strong=True))
    return lines + check_lines(layer.maps, shown_class)


def check_lines(maps: StudyMaps, shown_class: str) -> list[Line]:
    """Return the sum of the maps of every class beside the stored score before softmax; the class shown first."""
    check = maps.check
    lines = []
    for place in sorted(range(len(CLASSES)), key=lambda one: (CLASSES[one] != shown_class, -one)):
        text = translate(
            "StudyPanel", "bias {bias} + mean of the maps {mean} = {sum}; stored {stored}, difference {difference}"
        )
        shown = text.format(
            bias=words.signed(maps.bias[place], 4),
            mean=words.signed(check.sums[place] - maps.bias[place], 4),
            sum=words.signed(check.sums[place], 4),
            stored=words.signed(check.stored[place], 4),
            difference=scientific(check.differences[place]),
        )
        lines.append(Line(shown, words.class_name(CLASSES[place])))
    text = translate("StudyPanel", "Largest difference of a single slice {slice}; up to {tolerance} is allowed.")
    lines.append(
        Line(text.format(slice=scientific(check.largest_slice_difference), tolerance=words.decimal(check.tolerance, 2)))
    )
    return lines


def scientific(value: float) -> str:
    """Return a small difference with one digit and its power of ten; a plain 0 where there is none."""
    return "0" if value == 0 else QLocale().toString(abs(value), "e", 1)


def model_lines(result: StoredResult, pack: Pack) -> list[Line]:
    """Return by what and on what the score was computed, and how far the study is from the training data."""
    score = result.score
    lines = [Line(distance_text(score), translate("StudyPanel", "Distance from the training data"))]
    if score.training_distance is not None and score.training_distance_limit is not None:
        beyond = score.training_distance > score.training_distance_limit
        unlike = translate("StudyPanel", "This study is unlike the training data; the score may mean little.")
        lines += [Line(unlike, strong=True)] if beyond else []
    lines += [
        Line(words.device_name(score.provider), translate("StudyPanel", "Device")),
        Line(score.pack, translate("StudyPanel", "Model pack")),
    ]
    if score.pack_sha256 == pack.sha256:
        lines.append(Line(pack.status_text, translate("StudyPanel", "Status")))
    else:
        lines.append(Line(translate("StudyPanel", "Not the pack in use now: {pack}.").format(pack=pack.title)))
    lines += [
        Line(score.preparation, translate("StudyPanel", "Preparation of the slices")),
        Line(result.application_version, translate("StudyPanel", "Program version")),
        Line(moment_text(result.recorded_at), translate("StudyPanel", "Scored")),
        Line(_seconds_text(score), translate("StudyPanel", "Time taken")),
    ]
    return lines


def distance_text(score: Score) -> str:
    """Return how far a study is from the training data, as a share of the limit of the pack."""
    distance, limit = score.training_distance, score.training_distance_limit
    if distance is None or limit is None:
        return translate("StudyPanel", "not known: the pack has no statistics of it")
    text = translate("StudyPanel", "{distance} of a limit of {limit}")
    return text.format(distance=words.decimal(distance, 1), limit=words.decimal(limit, 1))


def _seconds_text(score: Score) -> str:
    text = translate("StudyPanel", "reading {read} s, scoring {infer} s")
    return text.format(read=words.decimal(score.seconds_read, 1), infer=words.decimal(score.seconds_infer, 1))


def file_lines(row: Row, left_out: Sequence[LeftOut]) -> list[Line]:
    """Return how many files the study has, and each that is none of its slices, with the reason."""
    counted = QLocale().toString(row.files_received)
    lines = [Line(translate("StudyPanel", "{count} received").format(count=counted), translate("StudyPanel", "Files"))]
    lines += [Line(str(one.finding), one.file.shown) for one in left_out[:FILES_SHOWN]]
    if len(left_out) > FILES_SHOWN:
        more = QLocale().toString(len(left_out) - FILES_SHOWN)
        lines.append(Line(translate("StudyPanel", "and {count} more").format(count=more)))
    return lines


def earlier_lines(facts: StudyFacts, now: datetime) -> list[Line]:
    """Return the scores that stood before, newest first; none of them is ever removed."""
    earlier = [one for one in facts.results if facts.result is None or one.number != facts.result.number]
    if not earlier:
        return [Line(translate("StudyPanel", "No earlier score."))]
    return [Line(_earlier_text(one), moment_text(min(one.recorded_at, now))) for one in earlier]


def _earlier_text(result: StoredResult) -> str:
    score = result.score
    text = translate("StudyPanel", "{score}; {slices} slices, {pack}, {device}, version {version}")
    return text.format(
        score=words.score_text(score),
        slices=QLocale().toString(len(score.slice_indices)),
        pack=score.pack,
        device=words.device_name(score.provider),
        version=result.application_version,
    )
