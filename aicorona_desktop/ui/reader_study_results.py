"""The sheet of a reader study's results: tables, figures, paired tests, changes, times."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QHeaderView, QScrollArea, QTableWidget, QTableWidgetItem, QTabWidget, QVBoxLayout, QWidget

from aicorona_desktop.app.reader_study_results import Results
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.fold import Line, Lines
from aicorona_desktop.ui.reader_study_charts import Figures
from aicorona_desktop.ui.reader_study_words import (
    Table,
    changes_table,
    comparisons_table,
    figures_table,
    sentences,
    times_table,
)

translate = QCoreApplication.translate


class ResultsSheet(Sheet):
    """Tables first, figures on a page of their own; above all what has to be known of the numbers."""

    def __init__(self, results: Results, parent: QWidget | None = None) -> None:
        title = translate("ReaderStudy", "Results of {name}").format(name=results.design.name)
        super().__init__(title, parent, (168, 40))
        self.said = Lines("reader_study_sentences")
        self.said.show_lines(
            [Line(text, strong=not place and results.unblinded) for place, text in enumerate(sentences(results))]
        )
        self.tabs = QTabWidget(self)
        self.tables = {
            "figures": table_of(figures_table(results), translate("ReaderStudy", "Figures of readers and model")),
            "times": table_of(times_table(results), translate("ReaderStudy", "Times")),
            "comparisons": table_of(comparisons_table(results), translate("ReaderStudy", "Paired tests")),
            "changes": table_of(changes_table(results), translate("ReaderStudy", "Changed answers")),
        }
        self.figures = Figures(results)
        first = QWidget()
        column = QVBoxLayout(first)
        column.addWidget(self.said)
        column.addWidget(self.tables["figures"], 1)
        self.tabs.addTab(first, translate("ReaderStudy", "Figures of readers"))
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self.figures)
        self.tabs.addTab(area, translate("ReaderStudy", "Charts"))
        self.tabs.addTab(self.tables["comparisons"], translate("ReaderStudy", "Paired tests"))
        self.tabs.addTab(self.tables["changes"], translate("ReaderStudy", "Changed answers"))
        self.tabs.addTab(self.tables["times"], translate("ReaderStudy", "Times"))
        self.body.addWidget(self.tabs, 1)
        self.add_close()


def table_of(table: Table, name: str) -> QTableWidget:
    """Return a table that can be read and copied from, and not changed."""
    head, rows = table
    widget = QTableWidget(len(rows), len(head))
    widget.setAccessibleName(name)
    widget.setHorizontalHeaderLabels(head)
    widget.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    widget.verticalHeader().hide()
    widget.setWordWrap(True)
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            item = QTableWidgetItem(text)
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            widget.setItem(row, column, item)
    header = widget.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setStretchLastSection(True)
    return widget
