"""What is known of the model at this site, in plain words, every number with its n (ux.md 8): one page a step."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from aicorona_desktop.app.self_check import Check, SelfCheck, self_check
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.ui.actions import VERIFICATION
from aicorona_desktop.ui.context import Context, Place
from aicorona_desktop.ui.reader_study import ReaderStudyPage
from aicorona_desktop.ui.verification_certificate import CertificatePage
from aicorona_desktop.ui.verification_kit import KitPage
from aicorona_desktop.ui.verification_month import MonthPageView
from aicorona_desktop.ui.verification_overview import OverviewPage
from aicorona_desktop.ui.verification_parts import Page
from aicorona_desktop.ui.verification_result import ResultPage

translate = QCoreApplication.translate


class VerificationPlace(Place):
    """Overview, known studies, result, certificate, months; the page in front reads anew when it comes to the front."""

    name = VERIFICATION

    def __init__(
        self,
        context: Context,
        parent: QWidget | None = None,
        check: Callable[[Pack, str, Callable[[Check], None]], SelfCheck] = self_check,
    ) -> None:
        """`check` tries the device, by default for real."""
        super().__init__(context, parent)
        self.setObjectName("verification_place")
        self.tabs = QTabWidget(self)
        self.tabs.setObjectName("verification_tabs")
        self.tabs.setDocumentMode(True)
        self.overview = OverviewPage(context, check=check)
        self.kit = KitPage(context)
        self.result = ResultPage(context)
        self.certificate = CertificatePage(context)
        self.month = MonthPageView(context)
        for page, title in (
            (self.overview, translate("Verification", "Overview")),
            (self.kit, translate("Verification", "Known studies")),
            (self.result, translate("Verification", "Result")),
            (self.certificate, translate("Verification", "Certificate")),
            (self.month, translate("Verification", "Each month")),
            (ReaderStudyPage(context), translate("Verification", "Reader study")),
        ):
            self.add_page(page, title)
        self.kit.ended.connect(self._ended)
        self.result.was_set.connect(lambda: self.tabs.setCurrentWidget(self.certificate))
        self.tabs.currentChanged.connect(lambda _: self._enter_page())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)

    def add_page(self, page: QWidget, title: str) -> None:
        """Add a page behind the others."""
        if isinstance(page, Page):
            page.say.connect(self.say)
        self.tabs.addTab(page, title)

    def enter(self) -> None:
        """Say everything anew."""
        self._enter_page()

    def end(self) -> None:
        """Let go of runs and windows."""
        for place in range(self.tabs.count()):
            page = self.tabs.widget(place)
            if isinstance(page, Page):
                page.end()

    def _enter_page(self) -> None:
        page = self.tabs.currentWidget()
        if isinstance(page, Page):
            page.enter()

    def _ended(self, _: int) -> None:
        self.say.emit(translate("Verification", "The known studies are scored."))
        if self.tabs.currentWidget() is self.kit:
            self.tabs.setCurrentWidget(self.result)
