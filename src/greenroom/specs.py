"""Parsing of colours and regions as users type them."""

from __future__ import annotations

import difflib
import operator
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from greenroom.errors import SettingsError
from greenroom.media.limits import MAX_SIDE_PX

__all__ = [
    "BACKGROUND_KINDS",
    "BUILTIN",
    "EXPECTED_REGION",
    "LIVE_OUTPUTS",
    "NAMES",
    "ROOM_WORDS",
    "SOURCE_KINDS",
    "Argument",
    "BackgroundKind",
    "LiveOutput",
    "Rectangle",
    "SourceKind",
    "parse_regions",
    "rgb_of",
    "source_kind",
]

# The named colours of CSS Color Module Level 4, section 6.1.
_TABLE: Final = """
aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff
beige f5f5dc bisque ffe4c4 black 000000 blanchedalmond ffebcd blue 0000ff
blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0 chartreuse 7fff00
chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c
cyan 00ffff darkblue 00008b darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9
darkgreen 006400 darkgrey a9a9a9 darkkhaki bdb76b darkmagenta 8b008b
darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000
darksalmon e9967a darkseagreen 8fbc8f darkslateblue 483d8b darkslategray 2f4f4f
darkslategrey 2f4f4f darkturquoise 00ced1 darkviolet 9400d3 deeppink ff1493
deepskyblue 00bfff dimgray 696969 dimgrey 696969 dodgerblue 1e90ff firebrick b22222
floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff gainsboro dcdcdc ghostwhite f8f8ff
gold ffd700 goldenrod daa520 gray 808080 green 008000 greenyellow adff2f grey 808080
honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082 ivory fffff0 khaki f0e68c
lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd
lightblue add8e6 lightcoral f08080 lightcyan e0ffff lightgoldenrodyellow fafad2
lightgray d3d3d3 lightgreen 90ee90 lightgrey d3d3d3 lightpink ffb6c1 lightsalmon ffa07a
lightseagreen 20b2aa lightskyblue 87cefa lightslategray 778899 lightslategrey 778899
lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6
magenta ff00ff maroon 800000 mediumaquamarine 66cdaa mediumblue 0000cd
mediumorchid ba55d3 mediumpurple 9370db mediumseagreen 3cb371 mediumslateblue 7b68ee
mediumspringgreen 00fa9a mediumturquoise 48d1cc mediumvioletred c71585
midnightblue 191970 mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead
navy 000080 oldlace fdf5e6 olive 808000 olivedrab 6b8e23 orange ffa500 orangered ff4500
orchid da70d6 palegoldenrod eee8aa palegreen 98fb98 paleturquoise afeeee
palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb
plum dda0dd powderblue b0e0e6 purple 800080 rebeccapurple 663399 red ff0000
rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513 salmon fa8072 sandybrown f4a460
seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb
slateblue 6a5acd slategray 708090 slategrey 708090 snow fffafa springgreen 00ff7f
steelblue 4682b4 tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 turquoise 40e0d0
violet ee82ee wheat f5deb3 white ffffff whitesmoke f5f5f5 yellow ffff00
yellowgreen 9acd32
"""

_NUMBER: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
# More regions are better painted into one picture.
_MAX_REGIONS: Final = 32
EXPECTED_REGION: Final = (
    "expected x,y,width,height in pixels of the frame or in % of it, such as 820,300,260,420 or "
    "40%,30%,20%,70%, or a picture that is white where the room is kept; several with ; between"
)

NAMES: Final = MappingProxyType(dict(zip(*[iter(_TABLE.split())] * 2, strict=True)))
"""Six hexadecimal digits by CSS name."""


def rgb_of(colour: str, setting: str = "background") -> tuple[int, int, int]:
    """Read a colour: a CSS name, ``#rgb`` or ``#rrggbb``.

    Parameters
    ----------
    colour : str
        The text as typed.
    setting : str
        Name of the setting, for the error.

    >>> rgb_of("#204060")
    (32, 64, 96)
    >>> rgb_of("Teal")
    (0, 128, 128)

    Raises
    ------
    SettingsError
        If it is not a colour.
    """
    name = colour.strip().lower()
    digits = NAMES.get(name, name.removeprefix("#"))
    if re.fullmatch("[0-9a-f]{3}", digits):
        digits = "".join(2 * digit for digit in digits)
    if not re.fullmatch("[0-9a-f]{6}", digits):
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "give a CSS name or #rrggbb."
        message = f"unknown colour '{colour}': {hint}"
        raise SettingsError(message, setting)
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle of the frame, in pixels or percent.

    Attributes
    ----------
    text : str
        The text as typed.
    values : tuple of float
        Left, top, width and height.
    in_percent : tuple of bool
        Whether each is in % of the frame's width or height instead of pixels.
    """

    text: str
    values: tuple[float, ...]
    in_percent: tuple[bool, ...]

    def placed(self, size: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in samples of a frame's matte.

        Parameters
        ----------
        size : (int, int)
            Width and height of the frame in pixels.
        shape : (int, int)
            Height and width of the matte.

        Raises
        ------
        SettingsError
            If it exceeds the frame.
        """
        left, top, width, height = (
            value / 100 if percent else value / length
            for value, percent, length in zip(self.values, self.in_percent, 2 * size, strict=True)
        )
        if left + width > 1 + 1e-9 or top + height > 1 + 1e-9:
            message = (
                f"setting 'keep_region': '{self.text}' does not lie within the frame of "
                f"{size[0]}x{size[1]} pixels. Give left, top, width and height of a part of it."
            )
            raise SettingsError(message, "keep_region")
        first = round(left * shape[1]), round(top * shape[0])
        last = round((left + width) * shape[1]), round((top + height) * shape[0])
        return (*first, max(last[0], first[0] + 1), max(last[1], first[1] + 1))


def parse_regions(text: str) -> tuple[Rectangle | Path, ...]:
    """Parse the setting ``keep_region``: rectangles and paths of pictures, separated by ``;``.

    Raises
    ------
    SettingsError
        If a part is neither, or there are too many.
    """
    parts = text.split(";")
    if len(parts) > _MAX_REGIONS:
        message = f"expected at most {_MAX_REGIONS} regions, not {len(parts)}: paint a picture."
        raise SettingsError(message, "keep_region")
    return tuple(_parsed(part.strip()) for part in parts)


def _parsed(text: str) -> Rectangle | Path:
    parts = text.split(",")
    found = [_NUMBER.fullmatch(part) for part in parts]
    numbers = [one for one in found if one is not None]
    if len(parts) == len(numbers) == 4:
        rectangle = Rectangle(
            text,
            tuple(float(one[1]) for one in numbers),
            tuple(bool(one[2]) for one in numbers),
        )
        most = [100 if share else MAX_SIDE_PX for share in rectangle.in_percent]
        if min(rectangle.values[2:]) > 0 and all(map(operator.le, rectangle.values, most)):
            return rectangle
    if not text or numbers:
        message = f"{EXPECTED_REGION}; not {text!r}"
        raise SettingsError(message, "keep_region")
    return Path(text)


class Argument(StrEnum):
    """Argument after the colon of a word."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class BackgroundKind:
    """A kind of background that is named by a word rather than a file.

    Attributes
    ----------
    help : str
        Notation and effect, in the help of the setting ``background``.
    label : str
        Name of the button on the page; empty where there is none.
    headline : str
        Sentence on the page while it is in force, with ``{value}`` for the argument.
    argument : Argument
        Whether the word takes a value.
    is_strength : bool
        Whether that is a number from 0 to 1, which a slider sets.
    room_warning : str
        Warning that the room can be recognised; empty where it cannot.
    room_question : str
        Question on the page before the room is shown; by default the warning, as a question.
    room_look : str
        Appearance of the room, such as ``in grey``, in the messages of ``greenroom run``.
    """

    help: str
    label: str = ""
    headline: str = ""
    argument: Argument = Argument.NONE
    is_strength: bool = False
    room_warning: str = ""
    room_question: str = ""
    room_look: str = ""


BACKGROUND_KINDS: Final = {
    "blur": BackgroundKind(
        "blur or blur:0.6 (0.4 to 1)",
        "Blur",
        "You are shown in front of your blurred room",
        Argument.OPTIONAL,
        is_strength=True,
    ),
    "pixelate": BackgroundKind(
        "pixelate or pixelate:0.6",
        "Pixelate",
        "You are shown in front of your pixelated room",
        Argument.OPTIONAL,
        is_strength=True,
    ),
    "grayscale": BackgroundKind(
        "grayscale (shows the room, without its colours)",
        "Grayscale",
        "You are shown in colour, and your room is visible, in grey",
        room_warning="Your room is visible, in grey: only its colours are hidden.",
        room_question="In grey everybody sees all of your room but its colours, and can read what "
        "is written there. Show it?",
        room_look="in grey",
    ),
    "color": BackgroundKind(
        "color:#204060 or color:NAME",
        "Colour",
        "You are shown in front of the colour {value}",
        Argument.REQUIRED,
    ),
    "transparent": BackgroundKind("transparent"),
    "none": BackgroundKind(
        "none (shows the input as it is)",
        "None",
        "Your room is visible",
        room_warning="Your room is visible: the camera\u2019s picture is sent as it is.",
        room_question="Without a background everybody sees your camera\u2019s picture as it is, "
        "with your whole room. Show it?",
    ),
}
"""Kinds of background by their word; `greenroom.backgrounds` has their classes."""

ROOM_WORDS: Final = frozenset(word for word, kind in BACKGROUND_KINDS.items() if kind.room_warning)
"""Backgrounds that show the room, which is the user's to say."""

BUILTIN: Final = {
    "beach": "Beach",
    "office": "Office wall",
    "study": "Study",
    "lights": "City lights",
    "dusk": "Dusk",
    "studio": "Studio",
}
"""Built-in pictures by their word, with the names that the page shows."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of live source.

    Attributes
    ----------
    help : str
        Notation, in the help of the setting ``source``; empty where the help does not list it.
    word : str
        The whole name of the source; empty where there is none.
    schemes : tuple of str
        Beginnings of its addresses, without the colon.
    suffix : str
        End of the names of its files.
    """

    help: str = ""
    word: str = ""
    schemes: tuple[str, ...] = ()
    suffix: str = ""

    def fits(self, name: str) -> bool:
        """Whether a name is of this kind by its notation."""
        scheme, colon, _ = name.partition(":")
        return (
            name == self.word != ""
            or (colon != "" and scheme.lower() in self.schemes)
            or (self.suffix != "" and name.lower().endswith(self.suffix) and Path(name).is_file())
        )


SOURCE_KINDS: Final = {
    "camera": SourceKind("A camera by its number, name or path (greenroom devices lists them)"),
    "file": SourceKind("a video file played in real time"),
    "stream": SourceKind(
        "an address (rtsp:, http:, https:, rtp:, udp:)",
        schemes=("rtsp", "rtsps", "http", "https", "rtp", "udp"),
        suffix=".sdp",
    ),
    "test picture": SourceKind(schemes=("lavfi",)),
    "screen": SourceKind("screen", word="screen"),
    "demo": SourceKind("demo", word="demo"),
}
"""Kinds of live source; `greenroom.live.sources` opens them. A file or a camera is what is none of
the others: only the file system can tell which."""


def source_kind(name: str) -> str | None:
    """Return the kind of live source that a name has by its notation; None for file or camera."""
    return next((kind for kind, source in SOURCE_KINDS.items() if source.fits(name)), None)


@dataclass(frozen=True, slots=True)
class LiveOutput:
    """A kind of place where a live picture goes.

    Attributes
    ----------
    help : str
        Notation, in the help of the setting ``to``.
    argument : Argument
        Whether the word takes a value.
    """

    help: str
    argument: Argument = Argument.NONE


LIVE_OUTPUTS: Final = {
    "camera": LiveOutput("camera (a virtual camera) or camera:DEVICE", Argument.OPTIONAL),
    "pipewire": LiveOutput("pipewire"),
    "window": LiveOutput("window"),
    "page": LiveOutput("page"),
    "file": LiveOutput("file:out.mp4", Argument.REQUIRED),
    "null": LiveOutput("null"),
}
"""Live outputs by their word; `greenroom.sinks.destinations` has their sinks."""
