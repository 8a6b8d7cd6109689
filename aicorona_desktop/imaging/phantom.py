"""A synthetic chest in Hounsfield units: made of numbers, never of people.

For demonstrations, self-checks, benchmarks and tests. It is drawn well enough that somebody who reads chest
CT recognises each level, and that a network trained on chests is given something it can know: body with fat
and muscle, ribs that run obliquely, spine and sternum, asymmetric mediastinum (heart, aortic arch and
descending aorta on the patient's left), diaphragm domes, branching lung vessels with partial volume, noise
with spatial correlation. It proves nothing about how well the model works.

Patient coordinates are LPS in mm as in DICOM, with z = 0 at the middle of the lungs: x grows to the patient's
left, y to the back, z to the head. A slice has row 0 in front and column 0 at the patient's right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_Place = tuple[Floats, Floats, float]  # x of columns, y of rows, z
Side = Literal["right", "left"]

AIR_HU = -1000.0
LUNG_HU = -865.0
FAT_HU = -98.0
MUSCLE_HU = 48.0
BLOOD_HU = 42.0
APEX_MM = 128.0
CARINA_MM = 26.0
TARGETS_PER_LUNG = 800
"""How many places of a lung its vessels reach."""


class _Stack:
    """Where the slices of a phantom lie: evenly spaced, the middle of the stack at z = 0."""

    __slots__ = ()
    slices: int
    matrix: int
    field_of_view_mm: float
    slice_spacing_mm: float

    @property
    def pixel_spacing_mm(self) -> float:
        """Distance between rows, and between columns."""
        return self.field_of_view_mm / self.matrix

    @property
    def positions_mm(self) -> tuple[tuple[float, float, float], ...]:
        """Image Position (Patient) of every slice: the centre of its first pixel, feet first, in LPS."""
        first = (self.pixel_spacing_mm - self.field_of_view_mm) / 2
        return tuple((first, first, self._z_mm(index)) for index in range(self.slices))

    def _z_mm(self, index: int) -> float:
        return (index - (self.slices - 1) / 2) * self.slice_spacing_mm


@dataclass(frozen=True, slots=True)
class Thorax(_Stack):
    """A phantom of the chest; `slice` draws one level of it, the same one for the same values.

    The anatomy has its own size: fewer or closer slices show less of it, around the middle of the lungs.
    The lungs reach from about -115 to 128 mm, so 40 slices of 7.5 mm hold them whole.

    `ground_glass` (0 to 1) is how far patches of raised density, on both sides, under the pleura and
    mostly at the back and base, have spread: the usual look of COVID-19. `consolidation` (0 to 1) is how
    much of one lower lobe is airless, with bronchi still open in it: the usual look of a lobar pneumonia.
    `noise_hu` is the standard deviation of the noise.
    """

    slices: int = 40
    matrix: int = 256
    field_of_view_mm: float = 350.0
    slice_spacing_mm: float = 7.5
    seed: int = 1
    ground_glass: float = 0.0
    consolidation: float = 0.0
    consolidation_side: Side = "right"
    noise_hu: float = 14.0

    def __post_init__(self) -> None:
        if self.slices < 1 or self.matrix < 32:
            raise ValueError(f"expected slices and a matrix of 32 or more, got {self.slices} and {self.matrix}")
        if min(self.field_of_view_mm, self.slice_spacing_mm) <= 0 or self.noise_hu < 0:
            raise ValueError("field of view and spacing must be positive, noise not negative")
        if not (0 <= self.ground_glass <= 1 and 0 <= self.consolidation <= 1):
            raise ValueError("ground glass and consolidation go from 0 to 1")

    def slice(self, index: int) -> NDArray[np.int16]:
        """Return one slice in Hounsfield units, int16 [rows, columns]; index 0 is nearest the feet.

        Raises:
            IndexError: there is no such slice.
        """
        if not 0 <= index < self.slices:
            raise IndexError(f"the phantom has slices 0 to {self.slices - 1}, not {index}")
        painting = _Painting(self.matrix, self.pixel_spacing_mm, self.slice_spacing_mm, self._z_mm(index))
        _paint_table(painting)
        _paint_body(painting)
        _paint_cavity(painting)
        _paint_lungs(painting, self)
        _paint_airways(painting)
        _paint_bones(painting)
        hounsfield = painting.hu + self._noise(index)
        rounded: NDArray[np.int16] = np.clip(np.rint(hounsfield), -1024, 3071).astype(np.int16)
        return rounded

    def volume(self) -> NDArray[np.int16]:
        """Return all slices, int16 [slices, rows, columns], feet first."""
        return np.stack([self.slice(index) for index in range(self.slices)])

    def _noise(self, index: int) -> Floats:
        """Noise of the scanner: neighbouring pixels vary together, as a soft kernel leaves them."""
        white = np.random.default_rng([self.seed, index]).standard_normal(
            (self.matrix + 2, self.matrix + 2), np.float32
        )
        down = white[:-2] + 2 * white[1:-1] + white[2:]
        across: Floats = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
        # The weights 1 2 1 in both directions leave a standard deviation of 6.
        return across * np.float32(self.noise_hu / 6)


@dataclass(frozen=True, slots=True)
class Head(_Stack):
    """A phantom of a head, for showing that the program leaves other parts of the body alone."""

    slices: int = 32
    matrix: int = 256
    field_of_view_mm: float = 240.0
    slice_spacing_mm: float = 6.0
    seed: int = 1

    def slice(self, index: int) -> NDArray[np.int16]:
        """Return one slice in Hounsfield units, int16 [rows, columns]; index 0 is nearest the feet."""
        painting = _Painting(self.matrix, self.pixel_spacing_mm, self.slice_spacing_mm, self._z_mm(index))
        size = max(0.25, 1 - (painting.z / 115) ** 2) ** 0.5
        wide, deep = 78 * size, 98 * size
        for inset, hu in ((0, 0.0), (1.5, FAT_HU), (4, MUSCLE_HU), (7, 1150.0), (9, 500.0), (11, 1050.0), (13, 10.0)):
            painting.ellipse((0.0, 0.0), (wide - inset, deep - inset), hu)
        painting.ellipse((0.0, 0.0), (wide - 17, deep - 17), 36.0)
        for side in (-1, 1):
            ventricle = painting.share(-20, 35)
            painting.ellipse((side * 12.0, -12.0), (5.0, 26.0), 7.0, turn=-0.25 * side, share=ventricle)
        noise = np.random.default_rng([self.seed, index]).normal(0, 6, painting.hu.shape)
        rounded: NDArray[np.int16] = np.clip(np.rint(painting.hu + noise), -1024, 3071).astype(np.int16)
        return rounded


class _Painting:
    """One slice while it is drawn: the picture, its coordinates and its level."""

    def __init__(self, matrix: int, pixel_mm: float, thickness_mm: float, z: float) -> None:
        self.matrix, self.pixel_mm, self.thickness_mm, self.z = matrix, pixel_mm, thickness_mm, z
        axis = (np.arange(matrix, dtype=np.float32) - np.float32((matrix - 1) / 2)) * np.float32(pixel_mm)
        self.x, self.y = axis[None, :], axis[:, None]
        self.hu = np.full((matrix, matrix), AIR_HU, np.float32)

    def window(self, centre: tuple[float, float], reach: tuple[float, float]) -> tuple[slice, slice]:
        """The rows and columns that a shape of this reach can touch."""
        (x, y), (reach_x, reach_y) = centre, reach
        return self._range(y - reach_y, y + reach_y), self._range(x - reach_x, x + reach_x)

    def cover(self, inside_mm: Floats) -> Floats:
        """How much of each pixel a shape covers, from how deep the pixel lies in it."""
        covered: Floats = np.clip(inside_mm * np.float32(1 / (1.3 * self.pixel_mm)) + np.float32(0.5), 0, 1)
        return covered

    def fill(self, where: tuple[slice, slice], cover: Floats, hu: float | Floats) -> None:
        """Lay a tissue over what is there."""
        part = self.hu[where]
        part += cover * (hu - part)

    def ellipse(
        self, centre: tuple[float, float], radii: tuple[float, float], hu: float, turn: float = 0.0, share: float = 1.0
    ) -> None:
        """Draw a filled ellipse, `share` of the slice thickness deep; `turn` in radians, from x towards y."""
        if share <= 0 or min(radii) <= 0:
            return
        reach = max(radii) if turn else 0.0
        margin = 1.5 * self.pixel_mm
        where = self.window(centre, (max(reach, radii[0]) + margin, max(reach, radii[1]) + margin))
        inside = _ellipse(self.x[:, where[1]], self.y[where[0]], centre, radii, turn)
        self.fill(where, self.cover(inside) * np.float32(share), hu)

    def share(self, bottom: float, top: float) -> float:
        """How much of the slice's thickness lies between two levels."""
        half = self.thickness_mm / 2
        overlap = min(self.z + half, top) - max(self.z - half, bottom)
        return min(1.0, max(0.0, overlap / self.thickness_mm))

    def _range(self, low: float, high: float) -> slice:
        middle = (self.matrix - 1) / 2
        start, stop = int(low / self.pixel_mm + middle), int(high / self.pixel_mm + middle) + 2
        return slice(min(self.matrix, max(0, start)), max(0, min(self.matrix, stop)))


EVERYWHERE = (slice(None), slice(None))


def _ellipse(
    x: Floats, y: Floats, centre: tuple[float, float], radii: tuple[float, float], turn: float = 0.0
) -> Floats:
    """How deep points lie in an ellipse, in mm; negative outside. Exact on the border, near it elsewhere."""
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    if turn:
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        dx, dy = dx * cosine + dy * sine, dy * cosine - dx * sine
    dx, dy = dx * np.float32(1 / radii[0]), dy * np.float32(1 / radii[1])
    inside: Floats = (1 - np.sqrt(dx * dx + dy * dy)) * np.float32(min(radii))
    return inside


def _barrel(x: Floats, y: Floats, half_width: Floats | float, half_depth: Floats | float) -> Floats:
    """As `_ellipse`, of a shape half-way to a rectangle: how a chest is round."""
    dx, dy = np.square(x / half_width), np.square(y / half_depth)
    radius = np.sqrt(dx + dy) + np.sqrt(np.sqrt(dx * dx + dy * dy))
    inside: Floats = (1 - radius * np.float32(0.5)) * np.minimum(half_width, half_depth)
    return inside


def _ellipsoid(
    x: Floats, y: Floats, z: Floats | float, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Floats:
    """As `_ellipse`, in space."""
    squares = [np.square((at - middle) / radius) for at, middle, radius in zip((x, y, z), centre, radii, strict=True)]
    inside: Floats = (1 - np.sqrt(squares[0] + squares[1] + squares[2])) * min(radii)
    return inside


# --- where things lie --------------------------------------------------------------------------------------------

HEART = ((20.0, -30.0, -34.0), (56.0, 42.0, 56.0))
PERICARDIUM = ((20.0, -30.0, -34.0), (59.0, 45.0, 59.0))
LIVER = ((-60.0, -6.0, -128.0), (70.0, 74.0, 82.0))
LEFT_DOME = ((62.0, -8.0, -136.0), (66.0, 72.0, 80.0))
SPINE = (0.0, 41.0)
DESCENDING_AORTA = (24.0, 29.0)


def _cavity_radii(z: Floats | float) -> tuple[Floats, Floats]:
    """Half width and half depth of the inside of the rib cage: narrower towards the neck."""
    up = np.square(np.clip((np.asarray(z, np.float32) - 10) / 120, 0, 1.2)).astype(np.float32)
    return 121 - np.float32(38) * up, 82 - np.float32(22) * up


def _lung_depth(x: Floats, y: Floats, z: Floats | float, side: int) -> Floats:
    """How deep points lie in a lung, in mm from its surface; negative outside. `side` is 1 left, -1 right."""
    depth = _barrel(x, y, *_cavity_radii(z))
    depth = np.minimum(depth, _ellipsoid(x, y, np.maximum(z, 35.0), (side * 52.0, 10.0, 35.0), (72.0, 84.0, 93.0)))
    depth = np.minimum(depth, side * x - _midline_mm(y, z, side))
    for centre, radii in (LIVER, LEFT_DOME) if side > 0 else (LIVER,):
        depth = np.minimum(depth, -_ellipsoid(x, y, z, centre, radii))
    depth = np.minimum(depth, -_ellipsoid(x, y, z, *PERICARDIUM))
    for below, half_width, half_depth in ((8, 23.0, 34.0), (38, 40.0, 22.0)):  # vertebra; its processes and muscles
        depth = np.minimum(depth, -_ellipse(x, y, (SPINE[0], SPINE[1] + below), (half_width, half_depth)))
    if side > 0:
        depth = np.minimum(depth, -_ellipse(x, y, DESCENDING_AORTA, (15.0, 15.0)))
    return np.asarray(depth, np.float32)


def _midline_mm(y: Floats, z: Floats | float, side: int) -> Floats:
    """How far the mediastinum reaches to a side: wide at the great vessels, thin where the lungs meet in front."""
    upper = np.clip((np.asarray(z, np.float32) + 10) / 40, 0, 1)
    hilum = np.clip(1 - np.abs(np.asarray(z, np.float32) - 2) / 26, 0, 1)
    arch = np.clip(1 - np.abs(np.asarray(z, np.float32) - 50) / 14, 0, 1) if side > 0 else np.float32(0)
    around = 1 / (1 + np.square((y + 8) / 34) ** 2)
    reach = 5 + around * (14 + 10 * upper + 9 * arch + 12 * hilum)
    return reach.astype(np.float32)


# --- what is drawn, back to front --------------------------------------------------------------------------------


def _paint_table(painting: _Painting) -> None:
    x, y = painting.x, painting.y
    top = np.float32(131) - x * x * np.float32(1 / 900)
    below = y - top
    shells = np.maximum(1.6 - np.abs(below), 1.6 - np.abs(below - 20))
    painting.fill(EVERYWHERE, painting.cover(np.minimum(10.5 - np.abs(below - 10), 168 - np.abs(x))), -935.0)
    painting.fill(EVERYWHERE, painting.cover(np.minimum(shells, 168 - np.abs(x))), -240.0)


def _paint_body(painting: _Painting) -> None:
    """Draw skin, fat and muscle."""
    z = painting.z
    where = painting.window((0.0, 0.0), (172.0, 116.0))
    x, y = painting.x[:, where[1]], painting.y[where[0]]
    up = float(np.clip((z - 70) / 70, 0, 1))
    half_width, half_depth = 156 + 12 * up, 108 - 20 * up
    wave = np.sin(x * 0.05 + z * 0.03) * np.cos(y * 0.06 - z * 0.02)
    body = _barrel(x, y - 4 * up, half_width, half_depth)
    body -= np.where(y < 0, 7 * np.exp(-np.square(x / 16)), 5 * np.exp(-np.square(x / 13)))
    for side in (-1, 1):  # breast or pectoral fat in front, shoulder above
        front = _ellipse(x, y, (side * 66.0, -66.0), (58.0, 46.0))
        body = np.maximum(body, front - 10 * up)
    painting.fill(where, painting.cover(body), 10.0)
    painting.fill(where, painting.cover(body - 2), FAT_HU)
    cage = _barrel(x, y, *_cavity_radii(z))
    muscle = np.minimum(body - (9 + 5 * np.square(y / 100) + 3 * wave), cage + (26 + 14 * up) + 4 * wave)
    painting.fill(where, painting.cover(muscle), MUSCLE_HU)
    # Between the muscle layers runs fat; the ribs lie within the innermost.
    layer = 1.4 + wave - np.abs(cage + 14 + 2 * wave)
    painting.fill(where, painting.cover(np.minimum(layer, muscle)) * np.float32(0.8), FAT_HU)
    for side in (-1, 1):
        painting.ellipse((side * 25.0, 88.0 - 8 * up), (22.0, 13.0), MUSCLE_HU)


def _cage(painting: _Painting, margin_mm: float) -> tuple[tuple[slice, slice], Floats, Floats, Floats]:
    """Return the window round the rib cage, its x and y, and how deep each pixel lies in the cage."""
    half_width, half_depth = (float(radius) for radius in _cavity_radii(painting.z))
    where = painting.window((0.0, 0.0), (half_width + margin_mm, half_depth + margin_mm))
    x, y = painting.x[:, where[1]], painting.y[where[0]]
    return where, x, y, _barrel(x, y, half_width, half_depth)


def _paint_cavity(painting: _Painting) -> None:
    """Fill the rib cage's inside with fat, then draw heart, vessels and the organs under the diaphragm."""
    where, x, y, depth = _cage(painting, 2.0)
    inside = painting.cover(depth)
    neck = float(np.clip((painting.z - 105) / 20, 0, 1))
    painting.fill(where, inside, FAT_HU + 125 * neck)
    if painting.z < -35:
        # The dome is blurred by the thickness of the slice, more than an edge that stands upright.
        blur = painting.pixel_mm / (painting.pixel_mm + 0.3 * painting.thickness_mm)
        for dome, hu in ((LEFT_DOME, FAT_HU + 40), (LIVER, 58.0)):
            painting.fill(where, inside * painting.cover(_ellipsoid(x, y, painting.z, *dome) * blur), hu)
        _paint_abdomen(painting)
    _paint_heart(painting)
    _paint_vessels(painting)


def _paint_abdomen(painting: _Painting) -> None:
    low = painting.share(-200, -62)
    painting.ellipse((58.0, -22.0), (36.0, 30.0), 30.0, turn=0.5, share=low)  # stomach
    painting.ellipse((60.0, -34.0), (22.0, 11.0), -985.0, share=painting.share(-125, -72))
    painting.ellipse((86.0, 34.0), (17.0, 36.0), 52.0, turn=-0.35, share=painting.share(-200, -74))  # spleen
    for side in (-1, 1):  # crura of the diaphragm
        painting.ellipse((side * 15.0, 26.0), (5.0, 13.0), MUSCLE_HU, turn=-0.4 * side, share=painting.share(-200, -70))


def _paint_heart(painting: _Painting) -> None:
    (x, y, z), (wide, deep, high) = HEART
    level = 1 - ((painting.z - z) / high) ** 2
    if level <= 0:
        return
    scale = level**0.5
    painting.ellipse((x, y), (wide * scale, deep * scale), FAT_HU + 25, turn=-0.15)
    painting.ellipse((x, y), (wide * scale - 4, deep * scale - 4), BLOOD_HU, turn=-0.15)
    painting.ellipse((0.0, 6.0), (34.0, 17.0), BLOOD_HU, share=painting.share(-36, -4))  # left atrium


def _paint_vessels(painting: _Painting) -> None:
    """Draw the great vessels and the oesophagus, each between the levels where it runs."""
    tubes = (
        # x, y, half width, half depth, from level, to level, turn
        (*DESCENDING_AORTA, 12.0, 12.0, -200.0, 46.0, 0.0),
        (-12.0, -24.0, 15.0, 15.0, -22.0, 46.0, 0.0),  # ascending aorta
        (9.0, 2.0, 13.0, 35.0, 44.0, 60.0, -0.55),  # arch
        (21.0, -30.0, 14.0, 15.0, -4.0, 26.0, 0.3),  # pulmonary trunk
        (-10.0, -3.0, 29.0, 9.0, 0.0, 17.0, -0.15),  # right pulmonary artery
        (27.0, -6.0, 11.0, 20.0, 12.0, 28.0, -0.6),  # left pulmonary artery
        (-27.0, -12.0, 8.5, 10.0, -10.0, 70.0, 0.0),  # superior vena cava
        (-24.0, -2.0, 13.0, 11.0, -90.0, -34.0, 0.0),  # inferior vena cava
        (-10.0, -12.0, 7.0, 7.0, 58.0, 104.0, 0.0),  # brachiocephalic artery
        (9.0, -8.0, 4.5, 4.5, 58.0, 160.0, 0.0),  # left carotid
        (18.0, 6.0, 5.5, 5.5, 58.0, 112.0, 0.0),  # left subclavian
        (-24.0, -20.0, 8.5, 8.0, 68.0, 118.0, 0.0),  # right brachiocephalic vein
        (9.0, -27.0, 22.0, 6.0, 66.0, 88.0, 0.15),  # left brachiocephalic vein
        (-17.0, -10.0, 5.0, 5.0, 102.0, 160.0, 0.0),  # right carotid
        (4.0, 21.0, 7.0, 5.0, -90.0, 160.0, 0.0),  # oesophagus
    )
    for x, y, half_width, half_depth, bottom, top, turn in tubes:
        share = painting.share(bottom, top)
        painting.ellipse((x, y), (half_width, half_depth), BLOOD_HU, turn, share)
    for side in (-1, 1):  # thyroid, neck muscles
        painting.ellipse((side * 16.0, -6.0), (8.0, 12.0), 75.0, share=painting.share(116, 160))
        painting.ellipse((side * 34.0, 8.0), (13.0, 20.0), MUSCLE_HU, share=painting.share(118, 200))


def _paint_lungs(painting: _Painting, thorax: Thorax) -> None:
    if not -125 < painting.z < APEX_MM + 5:
        return
    where, x, y, _ = _cage(painting, 2.0)
    depth = np.maximum(*(_lung_depth(x, y, painting.z, side) for side in (1, -1)))
    cover = painting.cover(depth)
    if not cover.any():
        return
    texture = _texture(thorax.seed, painting.matrix, painting.z)[where]
    # Blood follows gravity: the lung of a patient on the back is denser behind.
    air = LUNG_HU + np.float32(0.38) * y + 16 * texture
    soft = _vessel_share(painting, thorax.seed, where)
    sick = _ground_glass(thorax, (x, y, painting.z), depth, texture)
    if sick is not None:
        air = air + sick * (np.float32(-650 + 190 * thorax.ground_glass) + 60 * texture - air)
    air = air + soft * (BLOOD_HU - air)
    lobe = _consolidation(thorax, (x, y, painting.z), depth, texture)
    if lobe is not None:
        solid = np.float32(34) + soft * np.float32(-820)  # the bronchi beside the vessels still hold air
        air = air + lobe * (solid - air)
    painting.fill(where, cover, air)


def _paint_airways(painting: _Painting) -> None:
    z, wall, lumen = painting.z, 25.0, -990.0
    share = painting.share(CARINA_MM - 4, 200)
    painting.ellipse((0.0, 5.0), (10.5, 10.0), wall, share=share)
    painting.ellipse((0.0, 5.0), (8.8, 8.2), lumen, share=share)
    down = CARINA_MM - z
    if not -2 < down < 34:
        return
    for side, slope, radius in ((-1, 0.75, 7.0), (1, 1.05, 6.0)):
        centre = (side * (6 + slope * down), 6 + 0.25 * down)
        long = radius * (1 + 0.5 * slope)
        painting.ellipse(centre, (long + 2, radius + 1.5), wall)
        painting.ellipse(centre, (long, radius), lumen)


def _paint_bones(painting: _Painting) -> None:
    _paint_ribs(painting)
    _paint_spine(painting)
    _paint_sternum(painting)
    _paint_shoulder_girdle(painting)


def _paint_ribs(painting: _Painting) -> None:
    """Draw where the slice cuts the ribs: each runs round the cage and down, from the spine to the front."""
    where, x, y, depth = _cage(painting, 15.0)
    z, outside = painting.z, -depth
    ring = 4.0 - np.abs(outside - 6.5)
    at = np.nonzero(ring > -painting.pixel_mm)
    if not at[0].size:
        return
    ring, xs, ys = ring[at], x[0, at[1]], y[at[0], 0]
    angle = np.arctan2(np.abs(xs), ys + np.float32(0.1))  # 0 at the spine, pi at the sternum
    turns = (z + 26 * np.sin(angle * 0.5) + 30 * angle) / 27 + np.where(xs > 0, 0.06, 0)
    along = (0.26 - np.abs(turns - np.rint(turns))) * 60
    rib = np.minimum(ring, along)
    cover = painting.cover(rib) * (angle > 0.3)
    marrow = np.clip((rib - 1.2) / 2, 0, 1)
    bone = np.where(angle < 2.55, 720 - 420 * marrow, 125.0)  # in front the ribs end in cartilage
    part = painting.hu[where]
    part[at] += cover * (bone.astype(np.float32) - part[at])


def _paint_spine(painting: _Painting) -> None:
    (x, y), z = SPINE, painting.z
    phase = (z / 25) % 1
    disc = 1.0 - min(1.0, abs(phase - 0.5) / 0.12) if abs(phase - 0.5) < 0.12 else 0.0
    for side in (-1, 1):
        painting.ellipse((side * 24.0, y + 26), (17.0, 5.0), 480.0, turn=0.35 * side)  # transverse process
        painting.ellipse((side * 13.0, y + 15), (4.5, 9.0), 620.0)  # pedicle
    painting.ellipse((x, y + 38), (3.5, 15.0), 560.0)  # spinous process
    painting.ellipse((x, y + 23), (15.0, 12.0), 640.0)
    painting.ellipse((x, y), (18.0, 15.5), 560.0 - 440 * disc)
    painting.ellipse((x, y + 0.5), (15.8, 13.3), 185.0 - 90 * disc)
    painting.ellipse((x, y + 20), (10.0, 8.5), -20.0)
    painting.ellipse((x, y + 20), (6.5, 5.5), 38.0)


def _paint_sternum(painting: _Painting) -> None:
    share = painting.share(-78, 92)
    _, half_depth = _cavity_radii(painting.z)
    front = (0.0, -float(half_depth) - 6)
    half_width = 15.0 + 12 * float(np.clip((painting.z - 50) / 30, 0, 1))
    painting.ellipse(front, (half_width, 6.5), 520.0, share=share)
    painting.ellipse(front, (half_width - 2.2, 4.2), 140.0, share=share)


def _paint_shoulder_girdle(painting: _Painting) -> None:
    z = painting.z
    for side in (-1, 1):
        blade = painting.share(-20, 118)
        painting.ellipse((side * 98.0, 66.0), (34.0, 3.2), 560.0, turn=-0.75 * side, share=blade)
        painting.ellipse((side * 108.0, 38.0), (9.0, 11.0), 420.0, share=painting.share(84, 124))
        painting.ellipse((side * 136.0, 8.0), (20.0, 22.0), 480.0, share=painting.share(98, 150))  # humeral head
        painting.ellipse((side * 136.0, 8.0), (17.5, 19.5), 130.0, share=painting.share(98, 150))
        near = float(np.clip((z - 90) / 30, 0, 1))
        clavicle, turn = (side * (34.0 + 62 * near), -80.0 + 40 * near), (0.3 + 0.3 * near) * side
        painting.ellipse(clavicle, (24.0, 5.5), 600.0, turn, painting.share(88, 124))
        painting.ellipse(clavicle, (21.0, 3.2), 260.0, turn, painting.share(88, 124))


# --- lung vessels ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _vessel_samples(seed: int) -> Floats:
    """Return points along all lung vessels, float32 [n, 5], sorted by level: x, y, z, radius, length, all in mm."""
    samples = np.concatenate([_tree(seed, side) for side in (1, -1)])
    return np.ascontiguousarray(samples[np.argsort(samples[:, 2], kind="stable")])


def _tree(seed: int, side: int) -> Floats:
    """Grow the vessels of one lung: each place is joined to the nearest vessel, at little detour from the hilum.

    A vessel's radius follows how many places it feeds (Murray's law, a little flatter).
    """
    rng = np.random.default_rng([seed, 77, side + 1])
    candidates = (rng.uniform((0, -85, -118), (124, 85, 126), (12_000, 3)) * (side, 1, 1)).astype(np.float32)
    depth = _lung_depth(candidates[:, 0], candidates[:, 1], candidates[:, 2], side)
    hilum = np.array([side * 34.0, 6.0, 2.0], np.float32)
    targets = candidates[depth > 3][:TARGETS_PER_LUNG]
    targets = targets[np.argsort(np.linalg.norm(targets - hilum, axis=1), kind="stable")]
    nodes = np.concatenate([hilum[None], targets])
    parents, detour = np.zeros(len(nodes), np.intp), np.zeros(len(nodes), np.float32)
    for index in range(1, len(nodes)):
        apart = np.linalg.norm(nodes[:index] - nodes[index], axis=1)
        parents[index] = np.argmin(apart + 0.45 * detour[:index])
        detour[index] = detour[parents[index]] + apart[parents[index]]
    fed = np.ones(len(nodes))
    for index in range(len(nodes) - 1, 0, -1):
        fed[parents[index]] += fed[index]
    radii = 0.66 * fed**0.36
    return np.concatenate([_along(nodes[parents[i]], nodes[i], radii[i], rng) for i in range(1, len(nodes))])


def _along(start: Floats, end: Floats, radius: float, rng: np.random.Generator) -> Floats:
    """Sample one vessel, slightly bent."""
    length = float(np.linalg.norm(end - start))
    count = max(2, int(length / 0.9))
    at = ((np.arange(count) + 0.5) / count)[:, None]
    bend = rng.normal(0, 0.06 * length, 3) * np.sin(np.pi * at)
    points = start + at * (end - start) + bend
    return np.hstack([points, np.full((count, 1), radius), np.full((count, 1), length / count)]).astype(np.float32)


def _vessel_share(painting: _Painting, seed: int, where: tuple[slice, slice]) -> Floats:
    """Return how much of each pixel's volume vessels fill: thin ones that lie flat in a thick slice are faint."""
    samples = _vessel_samples(seed)
    half = max(painting.thickness_mm, painting.pixel_mm) / 2
    low, high = np.searchsorted(samples[:, 2], (painting.z - half, painting.z + half))
    near = samples[low:high]
    filled = np.zeros(painting.matrix * painting.matrix, np.float32)
    small = near[:, 3] < 2.0
    for group in (near[small], near[~small]):
        if len(group):
            filled += _splat(painting, group, 2 * half)
    share: Floats = np.minimum(filled.reshape(painting.matrix, painting.matrix)[where], 1)
    return share


def _splat(painting: _Painting, samples: Floats, thickness_mm: float) -> Floats:
    """Add up pieces of vessels as soft discs, flat [matrix * matrix]."""
    pixel, matrix = painting.pixel_mm, painting.matrix
    middle = (matrix - 1) / 2
    reach = int(float(samples[:, 3].max()) / pixel + 1.5)
    offsets = np.arange(-reach, reach + 1)
    columns, rows = samples[:, 0] / pixel + middle, samples[:, 1] / pixel + middle
    left, top = np.rint(columns).astype(np.intp), np.rint(rows).astype(np.intp)
    dx = (left[:, None] + offsets - columns[:, None]).astype(np.float32)
    dy = (top[:, None] + offsets - rows[:, None]).astype(np.float32)
    distance = np.sqrt(np.square(dy)[:, :, None] + np.square(dx)[:, None, :])
    radius = np.maximum(samples[:, 3] / pixel, 0.5).astype(np.float32)
    disc = np.clip(radius[:, None, None] + 0.5 - distance, 0, 1)
    volume = np.pi * np.square(samples[:, 3]) * samples[:, 4] / (pixel * pixel * thickness_mm)
    disc *= (volume / disc.sum((1, 2)))[:, None, None]
    flat = np.clip(top[:, None] + offsets, 0, matrix - 1)[:, :, None] * matrix
    flat = flat + np.clip(left[:, None] + offsets, 0, matrix - 1)[:, None, :]
    return np.bincount(flat.ravel(), disc.ravel(), matrix * matrix).astype(np.float32)


# --- disease -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _patches(seed: int, ground_glass: float) -> Floats:
    """Return the patches of ground glass, float32 [n, 5]: centre, radius in the slice, radius along the body (mm)."""
    rng = np.random.default_rng([seed, 99])
    found: list[Floats] = []
    for side in (1, -1):
        points = (rng.uniform((0, -60, -105), (122, 82, 80), (6000, 3)) * (side, 1, 1)).astype(np.float32)
        depth = _lung_depth(points[:, 0], points[:, 1], points[:, 2], side)
        # Under the pleura, and the more likely the further back and the lower.
        likely = (points[:, 1] + 60) / 142 - 0.25 * (points[:, 2] + 20) / 100
        at = points[(depth > 1) & (depth < 14) & (rng.uniform(0.25, 1.0, len(points)) < likely)]
        found.append(at[: int(np.ceil(3 + 13 * ground_glass))])
    centres = np.concatenate(found)
    radii = rng.uniform(9, 15 + 14 * ground_glass, (len(centres), 1)) * rng.uniform((1, 0.8), (1.2, 1.4), (1, 2))
    return np.hstack([centres, radii]).astype(np.float32)


def _ground_glass(thorax: Thorax, place: _Place, depth: Floats, texture: Floats) -> Floats | None:
    """Return how far each pixel is changed, 0 to 1; None where the slice has no patch."""
    if thorax.ground_glass <= 0:
        return None
    x, y, z = place
    density = np.zeros(depth.shape, np.float32)
    for patch_x, patch_y, patch_z, radius, radius_z in _patches(thorax.seed, thorax.ground_glass):
        level = np.exp(-np.square((z - patch_z) / radius_z))
        if level > 0.05:
            squared = np.square((x - patch_x) / radius) + np.square((y - patch_y) / radius)
            density += level * np.exp(-squared)
    if not density.any():
        return None
    near_pleura = np.clip(1.25 - depth / 48, 0.25, 1)
    changed: Floats = np.clip((density * near_pleura * (1 + 0.35 * texture) - 0.18) * 2.2, 0, 1)
    return changed * np.float32(0.45 + 0.55 * thorax.ground_glass)


def _consolidation(thorax: Thorax, place: _Place, depth: Floats, texture: Floats) -> Floats | None:
    """Return how airless each pixel of the lower lobe is, 0 to 1; None where the slice has none."""
    if thorax.consolidation <= 0:
        return None
    x, y, z = place
    side = 1 if thorax.consolidation_side == "left" else -1
    height = 60 * thorax.consolidation
    level = 1 - ((z + 32) / height) ** 2
    if level <= 0:
        return None
    extent = 30 + 55 * thorax.consolidation * level**0.5
    behind = y + 0.25 * z - (82 - extent) + 3 * texture  # in front the fissure makes a clear edge
    reach = np.minimum(behind, side * x - 20)
    lobe: Floats = np.clip(reach / 9, 0, 1) * np.clip(depth / 2 + 1, 0, 1)
    return lobe * np.float32(min(1.0, 2.5 * level))


@lru_cache(maxsize=8)
def _coarse(seed: int, steps: int) -> Floats:
    """Random values on a coarse lattice through the chest, 18 levels of `steps` by `steps`."""
    return np.random.default_rng([seed, steps]).standard_normal((18, steps, steps), np.float32)


def _stretched(rows: Floats, length: int) -> Floats:
    """Interpolate linearly along the first axis. Not a matrix product: BLAS would start threads for it."""
    at = np.linspace(0, len(rows) - 1.001, length)
    below = at.astype(np.intp)
    share = (at - below).astype(np.float32)[:, None]
    stretched: Floats = rows[below] * (1 - share) + rows[below + 1] * share
    return stretched


def _texture(seed: int, matrix: int, z: float) -> Floats:
    """Return smooth unevenness about 0, coarse and fine together, that goes on from slice to slice."""
    level = float(np.clip((z + 130) / 16, 0, 16.99))
    below, share = int(level), np.float32(level % 1)
    mixed = np.zeros((matrix, matrix), np.float32)
    for steps, weight in ((22, 0.6), (70, 0.7)):
        lattice = _coarse(seed, steps)
        plane = lattice[below] * (1 - share) + lattice[below + 1] * share
        mixed += np.float32(weight) * _stretched(_stretched(plane, matrix).T, matrix).T
    return mixed
