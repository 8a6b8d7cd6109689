"""What the program noticed about a file, a series or a study, as data: outcome, code, sentence, evidence.

Every sentence that a user may read about an input stands in `Reason`; the reader process sends the
name of a reason and numbers, never a text of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Outcome(StrEnum):
    """What became of a file or a study (reliability rules, section 2), mildest first."""

    SCORED = "scored"
    WARNED = "warned"
    IGNORED = "ignored"
    UNSUITABLE = "unsuitable"
    REFUSED = "refused"

    @property
    def gravity(self) -> int:
        """The place in this list: the higher, the graver."""
        return tuple(Outcome).index(self)


class Reason(Enum):
    """One sentence a rule; the name is the code that is stored and tested."""

    # --- the file itself -------------------------------------------------------------------------------------
    EMPTY_FILE = "The file is empty."
    TOO_LARGE_FILE = "The file is too large ({found:.0f} MiB, at most {needed:.0f})."
    NOT_A_FILE = "This is not a regular file (a device, pipe or other special entry)."
    LINK = "This is a link, and links are never followed (it may be missing, loop or lead outside)."
    NO_PERMISSION = "The file could not be read: no permission."
    UNREADABLE = "The file could not be read from its medium."
    CHANGED_WHILE_READING = "The file changed while it was being read; read it again when it is complete."
    NOT_DICOM = "This is not DICOM: the file has no DICM header."
    JUNK = "No image: a file of another program."
    FOLDER_TOO_DEEP = "The folder lies too deep to be read."
    NOT_LISTED = "The folder could not be read: no permission."
    NOT_FOUND = "There is no such file or folder (any more)."
    LOCKED = "The file is in use by another program; read it again when it is released."
    # --- DICOM structure -------------------------------------------------------------------------------------
    PREAMBLE_EXECUTABLE = "The preamble looks like an executable program; it was read as DICOM only."
    META_GROUP_LENGTH = "The file meta group length is wrong or missing."
    META_TOO_LONG = "The file meta header has an impossible length."
    META_UID_DIFFERS = "The SOP Instance UID in the file meta header differs from the one in the data set."
    TRANSFER_SYNTAX = "The images use a compression that this version cannot open (transfer syntax {name})."
    TRANSFER_SYNTAX_MISSING = "The transfer syntax is missing."
    DEFLATE_BROKEN = "The deflated data set is damaged or truncated."
    DEFLATE_TOO_LARGE = "The deflated data set is too large (ratio {found:.0f}, at most {needed:.0f}; too many bytes)."
    DEFLATE_TRAILING = "There are trailing bytes after the deflated data set."
    TRUNCATED = "The file is truncated: it ends in the middle of {name} (end of file, missing or no pixel data)."
    ELEMENT_LENGTH = "The length of {name} is past the end of file or too large."
    ODD_LENGTH = "The length of {name} is odd."
    PARENT_LENGTH = "The length of {name} is past the end of the item or sequence it stands in."
    UNDEFINED_LENGTH = "{name} has an undefined length, which only a sequence or encapsulated pixel data may have."
    TAG_ORDER = "The tags are out of order at {name} (wrong length, tag or transfer syntax)."
    TAG_TWICE = "{name} stands in the file twice."
    TAG_IN_WRONG_PLACE = "{name} is a tag in the wrong place (order of group, delimiter or meta header)."
    UNKNOWN_VR = "{name} has an unknown VR (value representation), or the transfer syntax is not what it says."
    VR_LENGTH = "The length of {name} does not fit its VR (value representation)."
    NESTED_TOO_DEEP = "Sequences are nested to a depth over {needed:.0f}."
    DELIMITER = "A sequence delimiter of {name} is missing or has a length (end of file, nested item)."
    TOO_MANY_ELEMENTS = "There are too many elements or items (over {needed:.0f})."
    ITEM_LENGTH = "An item has a wrong length or tag in {name}."
    TRAILING_BYTES = "There are {found:.0f} trailing bytes after the pixel data; they were left unread."
    VALUE_MISSING = "{name} is missing: no pixel data, UID, position or orientation to work with."
    VALUE_VR = "{name} has the wrong VR (value representation) or number of values."
    ROWS_COLUMNS = "{name} is out of range: rows and columns must be 16 to 4096 pixels, or it is too large."
    BITS = "The bits of a pixel are not readable: {name} is {found:.0f} (bits allocated, bits stored, high bit)."
    PIXEL_REPRESENTATION = "The pixel representation is neither unsigned nor signed."
    SAMPLES = "There are {found:.0f} samples (colour channels) in a pixel, where CT has one."
    PHOTOMETRIC_REFUSED = "The photometric interpretation {name} (such as palette or colour) is not one of a CT slice."
    FRAMES = "The number of frames is not usable."
    FLOAT_PIXELS = "The pixel data are float, where CT has integers."
    PIXEL_LENGTH = "The pixel data have the wrong length: {found:.0f} bytes, {needed:.0f} expected (too short or long)."
    PIXEL_ENCAPSULATION = "Pixel data are native where they should be encapsulated, or the reverse (undefined length)."
    OFFSET_TABLE = "The offset table of the pixel data does not fit the frames."
    FRAGMENTS = "The pixel data fragments are damaged: too many, empty, too long for a frame, of wrong length or tag."
    RLE_DAMAGED = "The RLE pixel data are damaged: segments do not expand to the frame (too short or long)."
    JPEG_DAMAGED = "The JPEG codestream is damaged or differs from the header (marker {name})."
    JPEG_LS_DAMAGED = "The JPEG-LS codestream is damaged, differs from the header, or is near-lossless beyond limits."
    JPEG_2000_DAMAGED = "The JPEG 2000 codestream is damaged or differs from the header; it was not decoded."
    DECODE_FAILED = "The pixel data could not be decoded ({name})."
    BAD_UID = "{name} is not a valid UID."
    BAD_NUMBER = "{name} is not a finite number in range (rescale, spacing, position, orientation; wrong length)."
    BAD_POSITION = "The image position is not three finite numbers in range."
    BAD_ORIENTATION = "The image orientation is not two perpendicular unit vectors."
    BAD_SPACING = "The pixel spacing is not two numbers from 0.05 to 10 mm."
    BAD_STRUCTURE = "The functional groups of an enhanced multi-frame object are not usable."
    STOPPED_THE_READER = "This file stopped the reader {found:.0f} times and was set aside."
    READER_TIMEOUT = "The file took too long to read."
    READER_FAILED = "The reader failed on this file ({name}); it was left out."
    # --- archives and disc directories -----------------------------------------------------------------------
    ARCHIVE_PATH = "The archive holds a path or name that is not allowed."
    ARCHIVE_LINK = "The archive holds a link."
    ARCHIVE_TWICE = "The archive holds the same name twice (duplicate)."
    ARCHIVE_TOO_LARGE = "The archive is too large, or its ratio is too high, once unpacked."
    ARCHIVE_TOO_MANY = "The archive holds too many entries."
    ARCHIVE_NESTED = "The archive holds another archive (nested)."
    ARCHIVE_TRUNCATED = "The archive is truncated or damaged."
    ARCHIVE_CHECKSUM = "The archive has a wrong checksum (CRC)."
    ARCHIVE_ENCRYPTED = "The archive is encrypted with a password."
    ARCHIVE_SIZE = "The archive states a wrong size."
    ARCHIVE_METHOD = "The archive is compressed in a way that is not supported; pack it as an ordinary ZIP."
    ARCHIVE_OVERLAP = "The archive has overlapping entries."
    ARCHIVE_KIND = "This kind of archive is not opened; unpack it first."
    ARCHIVE_OPENED = "An archive: its files were read and are counted by themselves."
    IMAGE_DAMAGED = "The disc image is damaged, or of a kind that is not read; put in the disc, or copy its files."
    DISC_UNREADABLE = "The disc could not be read here: {found:.0f} bytes are unreadable (scratched or dirty?)."
    DISC_STILL_COPIED = "The disc is still being copied: slices of this study may be missing."
    COPY_DIFFERS = "The copy of this file is not what was read from the disc; keep the disc and import it again."
    NOT_KEPT = "The program could not keep its copy of the files: the disk is full or its data folder is closed."
    DICOMDIR_PATH = "The disc directory (DICOMDIR) names a path outside the disc; it was not followed."
    DICOMDIR_LOOP = "The disc directory (DICOMDIR) has a loop or an offset outside itself; the disc itself was walked."
    DICOMDIR_MISSING_FILES = "The disc directory (DICOMDIR) names {found:.0f} files that are missing on the disc."
    DICOMDIR_NAMED = "The disc directory (DICOMDIR) names this file, and it is not on the disc."
    DICOMDIR_NOT_LISTED = "The disc directory (DICOMDIR) is incomplete: {found:.0f} files are not listed in it."
    DICOMDIR_UNREADABLE = "The disc directory (DICOMDIR) could not be read; the disc itself was walked."
    # --- volumes, in evaluation ------------------------------------------------------------------------------
    VOLUME_EXTRA = "NIfTI volumes need nibabel: install the extra `evaluate`."
    VOLUME_DAMAGED = "This is not a NIfTI volume, or it is damaged or cut off."
    VOLUME_DIMENSIONS = "The volume does not have three dimensions."
    VOLUME_SIZE = "The volume has an impossible size."
    VOLUME_TOO_LARGE = "The volume is too large ({found:.0f} MiB unpacked, at most {needed:.0f})."
    VOLUME_ORIENTATION = "The volume does not say how it lies."
    VOLUME_VALUES = "The values of the volume are not Hounsfield units."
    # --- identity and text -----------------------------------------------------------------------------------
    ODD_UID = "A UID is text instead of digits, or the SOP Instance UID is missing (then SHA-256 identifies)."
    CHARACTER_SET = "The character set is unknown or wrong; names may be shown with a question mark."
    CHARACTER_DECODE = "Some characters of {name} could not be decoded."
    CONTROL_CHARACTERS = "{name} holds control or direction characters; they were replaced."
    TEXT_TOO_LONG = "{name} is over its length (too long) and was cut."
    NAME_MISSING = "The patient name is missing."
    PATIENT_ID_MISSING = "The patient ID is missing: identity is not certain."
    BAD_DATE = "A date is missing or not a date ({name})."
    OVERLAY_LEFT_OUT = "An overlay in the image contradicts its own header; it is not shown."
    VALUE_ODD = "{name} breaks its VR (value representation); it was left out."
    SAME_ID_OTHER_NAME = "One patient ID stands with different names in this study."
    TWO_PATIENTS = "Two patients (patient IDs) stand in one study."
    IDENTITY_CHOSEN = "Two identities stood in this study; a person has chosen which one stands."
    OTHER_IDENTITY = "Left out: the file carries another identity than the one that a person has chosen."
    SERIES_IN_TWO_STUDIES = "One series UID stands in two studies."
    UID_CONFLICT = (
        "There are two versions of {found:.0f} image(s), of the same UID but with different bytes (conflict);"
        " a person must choose."
    )
    SAME_IMAGE = "The same image as in another file of this study, with other information about the file around it."
    VERSION_CHOSEN = "There were two versions of {found:.0f} image(s); a person has chosen which one is used."
    VERSIONS_NOT_SCORED = "There are two versions of {found:.0f} image(s); a person has chosen not to score them."
    OTHER_VERSION_CHOSEN = "Left out: a person has chosen another version of this image."
    # --- what kind of object ---------------------------------------------------------------------------------
    NOT_CT = "This is not CT (modality {name})."
    DICOMDIR_FILE = "A disc directory, not an image."
    OTHER_SERIES_SCORED = "Not used: another series of this study was scored."
    LOCALIZER = "Localizer."
    ONLY_LOCALIZERS = "Only localizers: no axial chest slices to score."
    DERIVED_SECONDARY = "A derived image: reformat, projection or other secondary image (Image Type {name})."
    SECONDARY_CAPTURE = "A secondary capture or dose report, without CT values."
    DERIVED_PRIMARY = "The images are derived (Image Type DERIVED\\PRIMARY)."
    NO_CHEST_CT = "No axial chest CT in this study."
    ENHANCED_UNUSABLE = "An enhanced multi-frame CT without usable functional groups."
    # --- geometry --------------------------------------------------------------------------------------------
    TOO_FEW_SLICES = "There are too few slices: {found:.0f}, at least {needed:.0f} needed."
    COVERAGE_SHORT = "The coverage is too short for a chest: {found:.0f} mm, at least {needed:.0f} mm needed."
    COVERAGE_LIMITED = "The coverage is limited: {found:.0f} mm; parts of the lungs may be missing."
    COVERAGE_LONG = "The coverage is {found:.0f} mm, more than a chest: the slices used may lie beside the lungs."
    SPACING_WIDE = "The slices are thick or far apart: a spacing of {found:.1f} mm (over {needed:.1f} mm)."
    SPACING_TOO_WIDE = "The slice spacing is too wide: {found:.1f} mm, at most {needed:.1f} mm (too thick)."
    SAME_POSITION_ALL = "All slices have the same position."
    SPACING_UNEVEN = "The slice spacing is uneven: up to {found:.0f} % off the median."
    SPACING_TOO_UNEVEN = "The slice spacing is too uneven: {found:.0f} % off the median, at most {needed:.0f} %."
    SLICE_MISSING = "Slices are missing: a gap of {found:.1f} mm, {needed:.1f} mm expected."
    SLICES_MISSING = "Too many slices are missing: a gap of {found:.1f} mm, {needed:.1f} mm expected."
    FILES_REFUSED = "{found:.0f} file(s) of this series were refused and are missing from it."
    FILES_REFUSED_BESIDE = "{found:.0f} file(s) beside this study were refused and may belong to it."
    IMPORT_STOPPED = "The import was stopped before its end: slices of this study may be missing."
    FILES_GONE = "{found:.0f} file(s) of this study are gone or were changed; bring them back and score it again."
    THICKNESS_DIFFERS = "The slice thickness is {found:.1f} times the spacing: slices overlap or leave gaps."
    TILT = "The gantry is tilted by {found:.1f} degrees."
    TILT_TOO_LARGE = "The gantry tilt is too large: {found:.1f} degrees, at most {needed:.0f}."
    TILT_TAG_ONLY = "The header gives a gantry tilt of {found:.1f} degrees that the geometry does not show."
    NOT_AXIAL = "The orientation is not axial: {found:.0f} degrees off."
    ROTATED = "The orientation is rotated by {found:.0f} degrees in the plane."
    MIXED_ORIENTATION = "The orientation differs between slices by {found:.1f} degrees."
    SAME_POSITION_OTHER_UID = "Different slices lie at the same position (duplicate, two phases or acquisitions)."
    MIXED_ACQUISITION = "The series has mixed acquisitions: {name} differs between slices."
    MIXED_MATRIX = "The matrix size (rows, columns) differs between slices."
    MIXED_SPACING = "The pixel spacing differs between slices."
    FRAME_OF_REFERENCE_MISSING = "The frame of reference is missing."
    TWO_FRAMES_OF_REFERENCE = "The slices have more than one frame of reference."
    FIELD_OF_VIEW_SMALL = "The field of view is small: {found:.0f} mm."
    PIXEL_SPACING_MISSING = "The pixel spacing is missing."
    PIXEL_SPACING_RANGE = "The pixel spacing is {found:.2f} mm, outside 0.3 to 3.0 mm."
    PIXEL_SPACING_ANISOTROPIC = "The pixel spacing is anisotropic: {found:.2f} by {needed:.2f} mm."
    MATRIX_RANGE = "The matrix has {found:.0f} rows or columns, outside 128 to 2048."
    # --- values ----------------------------------------------------------------------------------------------
    RESCALE_MISSING = "The rescale slope or intercept is missing: the values are not HU."
    RESCALE_RANGE = "The rescale slope or intercept is out of range (rescale {found:g}): the values are not HU."
    RESCALE_TYPE = "The rescale type is {name}, not HU."
    MONOCHROME1 = "The photometric interpretation is MONOCHROME1; the picture was inverted."
    PADDING_UNDECLARED = "The field around the picture holds {found:.0f} HU, which no tag declares as padding."
    AIR_ODD = "The darkest values are unusual for air: {found:.0f} HU."
    NOT_HU = "The values are not HU: air lies at {found:.0f} HU, -1100 to -850 expected."
    NO_BODY = "There is no body in the pictures: {found:.0f} % soft tissue by HU, {needed:.0f} % needed."
    CONSTANT_SLICES = "The slices have constant pixel values, without a body (HU)."
    OUT_OF_RANGE_HU = "{found:.1f} % of the pixels have impossible HU values (noise or damaged pixel data)."
    LUNGS_SMALL = "The lungs found are small: {found:.0f} ml."
    NO_LUNGS = "No lungs found (lung-like HU volume {found:.0f} ml, {needed:.0f} ml needed)."
    NEIGHBOURS_ODD = "{found:.0f} % of neighbouring slices resemble each other; pixel data may be damaged."
    NEIGHBOURS_DIFFER = "Neighbouring slices do not resemble each other ({found:.0f} %): noise or damaged pixel data?"
    LOSSY = "The pictures were compressed with loss (lossy)."
    LOSSY_RATIO = "The lossy compression is too strong: ratio {found:.0f}, at most {needed:.0f}."
    NEAR_LOSSLESS = "The pictures were compressed with loss (lossy, near-lossless): up to {found:.0f} grey levels off."
    SIGN_DIFFERS = "The sign in the codestream differs from the header; the header was followed."
    CONTRAST = "A contrast agent was recorded."
    AGE_UNKNOWN = "The age is unknown or contradictory."
    CHILD = "The age is {found:.0f} years: children are not what the model was made for."
    BODY_PART_OTHER = "The header names another body part ({name}) than the chest."
    BODY_PART_BESIDE = "The header names a body part beside the chest ({name})."
    BURNED_IN = "The pictures carry burned-in annotation."
    # --- the model's answer ----------------------------------------------------------------------------------
    MODEL_FAILED_ITS_CHECK = "The model failed its check: its answer was not finite or not plausible."
    UNLIKE_TRAINING_DATA = "This study is unlike the training data (distance {found:.1f}, limit {needed:.1f})."
    SCORING_FAILED = "Scoring failed on our side; try again, and keep the log if it fails once more."
    SCORED_ANYWAY = "A person had this study scored although it is not suitable: the score may mean nothing."
    PROVIDER_LEFT = "The device {name} failed; the study was finished on the CPU."
    RESULT_DAMAGED = "The stored score was changed or damaged and is not shown; score the study again."
    OTHER_VERSION = "Another version of the program noticed something that this one has no words for ({name})."
    PROVIDER_NOT_USED = "The device {name} was not used: it is missing, slower than the CPU or answers differently."
    DISK_NEARLY_FULL = "The disk is nearly full ({found:.0f} MB free, {needed:.0f} needed): no new files are taken in."
    DISK_HAS_ROOM = "There is room on the disk again ({found:.0f} MB free): new files are taken in."
    RUNTIMES_CLASH = "More than one edition of ONNX Runtime is installed ({name}); uninstall all but one."

    @property
    def code(self) -> str:
        """The name that is stored and sent, such as `TOO_FEW_SLICES`."""
        return self.name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed: what it means for the input, why, and the evidence.

    `found` and `needed` are in the unit that the sentence names; `name` is a DICOM keyword, a transfer
    syntax or another short word of ours (at most 64 printable characters), never a patient's text.
    """

    outcome: Outcome
    reason: Reason
    found: float | None = None
    needed: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.name) > 64 or not self.name.isprintable():
            raise ValueError("evidence must be at most 64 printable characters")

    def __str__(self) -> str:
        found = float("nan") if self.found is None else self.found
        needed = float("nan") if self.needed is None else self.needed
        return self.reason.value.format(found=found, needed=needed, name=self.name or "an element")


def worst(findings: tuple[Finding, ...]) -> Outcome:
    """Return the gravest outcome among the findings; `SCORED` when there is none."""
    return max((finding.outcome for finding in findings), key=lambda one: one.gravity, default=Outcome.SCORED)
