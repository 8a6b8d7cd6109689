"""`receive`: take DICOM objects from the senders named, until stopped; `watch` or the window scores them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from aicorona_desktop.app.receiving import NOT_INSTALLED, NOT_LISTENING, inbox_beside
from aicorona_desktop.app.services import HISTORY_NAME
from aicorona_desktop.cli.options import WrongUseError, add_history, at_least_zero, site_settings, tell
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.core.receiving import Caller, ReceiverSettings, ReceiverSettingsError
from aicorona_desktop.receive.client import Receiver, is_installed
from aicorona_desktop.receive.protocol import Delivery, Listening, News, NotListening, Trouble, TurnedAway, WhyNot


class NotReceivingError(AicoronaError):
    """The receiver can't listen."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("receive", help="take DICOM objects from named senders", description=__doc__)
    parser.add_argument(
        "--from",
        dest="callers",
        action="append",
        metavar="AE[@IP]",
        help="a sender that is allowed, by its AE title and, better, its address; may be given several times",
    )
    parser.add_argument("--ae-title", metavar="AE", help="the AE title that senders call (default: the site's)")
    parser.add_argument("--port", type=int, metavar="N", help="the port to listen at (default: the site's)")
    parser.add_argument(
        "--bind", metavar="IP", help="the address to listen on (default: the site's; 127.0.0.1 is this computer alone)"
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where objects are kept (default: the inbox)")
    parser.add_argument("--for", dest="seconds", type=at_least_zero, metavar="S", help="stop after S seconds")
    add_history(parser, "the history whose inbox is filled (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Receive until stopped."""
    if not is_installed():
        raise NotReceivingError(NOT_INSTALLED)
    settings = _settings(arguments)
    if not settings.callers:
        raise WrongUseError("Nobody may send yet: name a sender with --from AE@IP, or in the settings of the window.")
    folder = arguments.folder or inbox_beside(arguments.history or data_dir() / HISTORY_NAME)
    told: list[NotListening] = []

    def hear(news: News) -> None:
        if isinstance(news, NotListening):
            told.append(news)
        else:
            _say(news)

    receiver = Receiver(settings, folder, hear)
    until = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    try:
        while until is None or time.monotonic() < until:
            for news in told:
                if news.why != WhyNot.OTHER:
                    sentence = NOT_LISTENING[WhyNot(news.why)]
                    raise NotReceivingError(sentence.format(port=settings.port, bind=settings.bind))
                tell(NOT_LISTENING[WhyNot.OTHER])
            told.clear()
            time.sleep(0.1)
    finally:
        receiver.close()
    return 0


def _settings(arguments: argparse.Namespace) -> ReceiverSettings:
    site = site_settings().receiver
    try:
        callers = tuple(_caller(text) for text in arguments.callers or ()) or site.callers
        return ReceiverSettings(
            True, arguments.ae_title or site.ae_title, arguments.port or site.port, arguments.bind or site.bind, callers
        )
    except ReceiverSettingsError as error:
        raise WrongUseError(str(error)) from error


def _caller(text: str) -> Caller:
    title, _, addresses = text.partition("@")
    return Caller(title, tuple(one for one in addresses.split(",") if one))


def _say(news: News) -> None:
    match news:
        case Listening(port):
            print(f"Listening at port {port} (Ctrl+C stops).", flush=True)
        case Delivery(ended=True) if news.stored or news.failed:
            refused = f", {news.failed} refused" if news.failed else ""
            print(f"{news.ae_title} at {news.address}: {news.stored} object(s){refused}.", flush=True)
        case TurnedAway(title, address, _, count):
            tell(f"Turned away: {title} at {address} ({count} call(s)).")
        case Trouble():
            tell("The receiver has no room, or can't write; senders are told so.")
        case _:
            pass
