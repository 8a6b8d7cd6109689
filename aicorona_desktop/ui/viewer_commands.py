"""What the keys of the viewer make of its state, by the names of the actions; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from aicorona_desktop.ui import viewer_state as states
from aicorona_desktop.ui.viewer_state import ViewerState

Change = Callable[[ViewerState], ViewerState]

CHANGES: Mapping[str, Change] = {
    "viewer.slice_up": partial(states.moved, slices=1),
    "viewer.slice_down": partial(states.moved, slices=-1),
    "viewer.ten_up": partial(states.moved, slices=10),
    "viewer.ten_down": partial(states.moved, slices=-10),
    "viewer.first_slice": partial(states.at_slice, index=0),
    "viewer.last_slice": lambda state: states.at_slice(state, state.slices - 1),
    "viewer.invert": states.inverted,
    "viewer.fit": states.fit,
    "viewer.one_to_one": states.one_to_one,
    "viewer.zoom_in": partial(states.zoomed, factor=1.25),
    "viewer.zoom_out": partial(states.zoomed, factor=0.8),
    "viewer.reset_view": states.reset,
    "viewer.play": partial(states.playing, per_s=states.CINE_PER_S),
    "viewer.play_slower": partial(states.playing, per_s=states.CINE_SLOW_PER_S),
}

STUDY_STEPS: Mapping[str, str] = {
    "viewer.previous_study": "previous",
    "viewer.next_study": "next",
    "viewer.next_unread": "next_unread",
}
"""Steps through the list, which the worklist knows."""

LARGEST_STEP_HU = 100.0
GROWS_EVERY = 8
"""After so many repeats of a held key its step doubles."""


@dataclass(frozen=True, slots=True)
class WindowStep:
    """How far one press of a key moves the window."""

    level_hu: float = 0.0
    width_hu: float = 0.0

    def applied(self, state: ViewerState, repeats: int) -> ViewerState:
        """Return the state one step on; a key that is held goes further, up to 100 HU a step."""
        grown = 2.0 ** min(repeats // GROWS_EVERY, 10)
        return states.window_changed(state, _limited(self.level_hu * grown), _limited(self.width_hu * grown))


WINDOW_STEPS: Mapping[str, WindowStep] = {
    "viewer.level_up": WindowStep(level_hu=10),
    "viewer.level_down": WindowStep(level_hu=-10),
    "viewer.window_wider": WindowStep(width_hu=10),
    "viewer.window_narrower": WindowStep(width_hu=-10),
    "viewer.level_up_fine": WindowStep(level_hu=1),
    "viewer.level_down_fine": WindowStep(level_hu=-1),
    "viewer.window_wider_fine": WindowStep(width_hu=1),
    "viewer.window_narrower_fine": WindowStep(width_hu=-1),
}


def _limited(hu: float) -> float:
    return min(max(hu, -LARGEST_STEP_HU), LARGEST_STEP_HU)
