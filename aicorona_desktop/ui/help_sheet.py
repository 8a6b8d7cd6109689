"""Help: what can be done at a place, the words of the program, the arithmetic of flags, and what the program is."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QCoreApplication, QLocale, QSysInfo, qVersion
from PySide6.QtWidgets import QTabWidget, QTextBrowser, QWidget

from aicorona_desktop import __version__
from aicorona_desktop.ui.acknowledge import explained
from aicorona_desktop.ui.actions import EVERYWHERE, Actions
from aicorona_desktop.ui.dialogs import Sheet

translate = QCoreApplication.translate

SENSITIVITY, SPECIFICITY = 0.939, 0.831
"""The paper's figures on its external test set."""
PREVALENCES = (0.20, 0.05, 0.01)


class HelpSheet(Sheet):
    """Help in four pages."""

    def __init__(self, actions: Actions, place: str, facts: dict[str, str], parent: QWidget | None = None) -> None:
        """Make the sheet for a place; `facts` are lines for the last page: what is in use and where files lie."""
        title = translate("Help", "Help")
        super().__init__(title, parent)
        pages = QTabWidget(self)
        pages.addTab(*_page(place_html(actions, place), translate("Help", "This place")))
        pages.addTab(*_page(words_html(), translate("Help", "Words")))
        pages.addTab(*_page(flags_html(), translate("Help", "How often a flag is right")))
        pages.addTab(*_page(about_html(facts), translate("Help", "About")))
        self.pages = pages
        self.body.addWidget(pages, 1)
        self.add_close()


def share_of_right_flags(
    prevalence: float, sensitivity: float = SENSITIVITY, specificity: float = SPECIFICITY
) -> float:
    """Return how many of those flagged have the disease, 0 to 1 (ux.md 9.4)."""
    right = sensitivity * prevalence
    return right / (right + (1 - specificity) * (1 - prevalence))


def place_html(actions: Actions, place: str) -> str:
    """Return what can be done at a place, with the keys as they are set now."""
    return keys_table(actions, place) + keys_table(actions, EVERYWHERE)


def keys_table(actions: Actions, place: str) -> str:
    """Return the actions of a place and their keys as a table; those without a key as well."""
    rows = "".join(
        f"<tr><td style='padding: 2px 18px 2px 0'><b>{escape(shown_keys(actions, spec.name))}</b></td>"
        f"<td style='padding: 2px 18px 2px 0'>{escape(actions.text(spec.name).rstrip('…'))}</td>"
        f"<td>{escape(translate('actions', spec.tooltip))}</td></tr>"
        for spec in actions.of(place)
    )
    return f"<h3>{escape(place_words(place))}</h3><table>{rows}</table>" if rows else ""


def shown_keys(actions: Actions, name: str) -> str:
    """Return all keys of an action as this system writes them."""
    return ", ".join(actions.native(key) for key in actions.keys(name))


def place_words(place: str) -> str:
    """Return what a place is called."""
    words = {
        "everywhere": translate("Help", "Everywhere"),
        "worklist": translate("Help", "Worklist"),
        "viewer": translate("Help", "Viewer"),
        "history": translate("Help", "History"),
        "verification": translate("Help", "Verification"),
    }
    return words[place]


def glossary() -> tuple[tuple[str, str], ...]:
    """Return the words of the program with what they mean: one word a thing."""
    return (
        (
            translate("Glossary", "Model score (COVID-19)"),
            translate(
                "Glossary",
                "What the model gives for the class COVID-19, times 100. The list is sorted by it. "
                "It is no probability of disease: a clinic's patients are not those of the paper.",
            ),
        ),
        (
            translate("Glossary", "Preliminary"),
            translate(
                "Glossary", "A first score from a few slices, spread evenly. It is replaced when all slices are scored."
            ),
        ),
        (
            translate("Glossary", "± n"),
            translate(
                "Glossary",
                "How far the score moves without the slices that moved it most. It says nothing about disease.",
            ),
        ),
        (
            translate("Glossary", "Doubtful"),
            translate(
                "Glossary", "Without a few slices the score would fall on the other side of the operating point."
            ),
        ),
        (
            translate("Glossary", "Operating point"),
            translate("Glossary", "The score from which a study is flagged. It belongs to the pack or the site."),
        ),
        (translate("Glossary", "No flag"), translate("Glossary", "No flag. This does not rule out disease.")),
        (
            translate("Glossary", "Needs a person"),
            translate("Glossary", "Studies that could not be scored or whose score is not to be relied on."),
        ),
        (
            translate("Glossary", "Overdue"),
            translate("Glossary", "Nobody has read the study for longer than the wait cap. Oldest first."),
        ),
        (
            translate("Glossary", "Ranked"),
            translate(
                "Glossary", "Scored, not read yet; by the model score, or by the order that the site has chosen."
            ),
        ),
        (
            translate("Glossary", "Read"),
            translate("Glossary", "A person has saved an impression or an action. Opening a study is not reading it."),
        ),
        (
            translate("Glossary", "Not for this tool"),
            translate("Glossary", "No chest CT: it is listed with its reason, and not scored."),
        ),
        (
            translate("Glossary", "Map"),
            translate(
                "Glossary", "Where in a slice the score of a class was moved. Shows what moved the score, not disease."
            ),
        ),
        (
            translate("Glossary", "Own impression"),
            translate("Glossary", "What you see in the pictures. It is kept beside the score, never replaced by it."),
        ),
        (
            translate("Glossary", "Model pack"),
            translate(
                "Glossary", "The model with its description, its checks and its card; one file set, signed by hash."
            ),
        ),
    )


def words_html() -> str:
    """Return the glossary."""
    return "<dl>" + "".join(f"<dt><b>{escape(w)}</b></dt><dd>{escape(m)}</dd>" for w, m in glossary()) + "</dl>"


def flags_html() -> str:
    """Return how many flags are right at three prevalences, by the paper's external figures."""
    locale = QLocale()
    intro = translate(
        "Help",
        "With the sensitivity of {sensitivity} and the specificity of {specificity} that the paper gives for its "
        "external test set, this is the share of flags that are right:",
    ).format(sensitivity=locale.toString(SENSITIVITY, "f", 3), specificity=locale.toString(SPECIFICITY, "f", 3))
    line = translate("Help", "{prevalence} % of the patients have COVID-19: {share} % of the flags")
    lines = "".join(
        "<li>"
        + escape(line.format(prevalence=round(100 * one), share=round(100 * share_of_right_flags(one))))
        + "</li>"
        for one in PREVALENCES
    )
    rest = translate(
        "Help", "The rarer the disease, the more flags are wrong. The figures of this site come from Verification."
    )
    return f"<p>{escape(intro)}</p><ul>{lines}</ul><p>{escape(rest)}</p>"


def about_html(facts: dict[str, str]) -> str:
    """Return what the program is, what is in use, and how to see that it opens no connection."""
    notice = "".join(f"<li>{escape(one)}</li>" for one in explained())
    versions = {
        translate("Help", "Program"): f"aicorona-desktop {__version__}",
        **facts,
        "Qt": f"{qVersion()} (LGPL-3.0)",
        translate("Help", "System"): QSysInfo.prettyProductName(),
    }
    rows = "".join(
        f"<tr><td style='padding-right: 16px'>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in versions.items()
    )
    proof = translate(
        "Help",
        "No network connection: list the connections of this process while it works (Windows: Resource Monitor, "
        "page Network; Linux: ss -p). There are none, neither listening nor open. "
        "Only where the site has switched on the DICOM receiver does a process of its own listen, at the port that "
        "Settings, Intake names; it sends nothing on.",
    )
    return f"<ul>{notice}</ul><table>{rows}</table><p>{escape(proof)}</p>"


def _page(html: str, title: str) -> tuple[QTextBrowser, str]:
    page = QTextBrowser()
    page.setOpenLinks(False)
    page.setAccessibleName(title)
    page.setHtml(html)
    return page, title
