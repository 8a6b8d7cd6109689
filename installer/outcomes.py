"""Make `docs/outcomes.md` from the table of sentences: `python installer/outcomes.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from aicorona_desktop.core.findings import Reason  # noqa: E402 - the checkout, not an installed copy

HEAD = """# Outcomes and reasons

Every file and every study ends in one of five outcomes:

| Outcome | Meaning | State of a study |
|---|---|---|
| `scored` | scored, nothing to say | `done` |
| `warned` | scored, with a sentence to read first | `done` |
| `ignored` | not ours: another kind of object, a file of another program, a series that was not chosen | `ignored` |
| `unsuitable` | readable, and not to be scored; a person must look | `unsuitable` |
| `refused` | could not be read safely | `refused` (no file of the study was usable) |

A study that our side failed to score is `failed`. Each reason has a code, which is stored, and a sentence, which is
shown; numbers stand for what was found and what is needed. Limits are those of `aicorona_desktop/dicom/thresholds.py`.
The same rule may warn or forbid, by how far it is broken.

This page is made by `python installer/outcomes.py` from `aicorona_desktop/core/findings.py`.

| Code | Sentence |
|---|---|
"""


def page() -> str:
    """Return the page."""
    lines = (
        f"| `{reason.code}` | {re.sub(r'[{](found|needed|name)[^}]*[}]', '…', reason.value)} |" for reason in Reason
    )
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "outcomes.md").write_text(page(), encoding="utf-8")
