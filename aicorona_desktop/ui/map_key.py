"""One key, two uses: a tap switches the map on or off, holding it shows the map for as long (ux.md 5.4)."""

from __future__ import annotations

from dataclasses import dataclass

HELD_FROM_S = 0.3
"""From here on a press is a look, not a tap: shorter ones are taps even of slow hands."""


@dataclass(frozen=True, slots=True)
class MapKey:
    """What the key has done so far: `pressed_at` is None while it is up, `was_on` how the map was before."""

    pressed_at: float | None = None
    was_on: bool = False

    def pressed(self, on: bool, at_s: float) -> tuple[MapKey, bool]:
        """Return the key after it went down, and whether the map is shown now: at once, without waiting.

        Args:
            on: whether the map is shown.
            at_s: a moment of a clock that never goes back.
        """
        if self.pressed_at is not None:  # the system repeats keys that are held
            return self, on
        return MapKey(at_s, on), True

    def released(self, on: bool, at_s: float) -> tuple[MapKey, bool]:
        """Return the key after it came up, and whether the map is shown from now on."""
        if self.pressed_at is None:
            return self, on
        held = at_s - self.pressed_at >= HELD_FROM_S
        return MapKey(), self.was_on if held else not self.was_on
