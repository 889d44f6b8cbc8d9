"""Settings: the one declaration of every option.

The command's flags, the TOML file and the keyword arguments of the library are views of
`Settings`. A setting has its range, unit, default and help here and nowhere else.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from greenroom.errors import SettingsError
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.media.toml_text import decode_toml, parse_toml
from greenroom.settings.choices import (
    CaptureLibrary,
    Device,
    Fit,
    Framing,
    OnFailure,
    People,
    Quality,
    View,
)
from greenroom.settings.messages import repeated, settings_error
from greenroom.settings.metadata import About, Group, PathKind, Stage
from greenroom.specs import (
    BACKGROUND_KINDS,
    BUILTIN,
    LIVE_OUTPUTS,
    SOURCE_KINDS,
    parse_regions,
    rgb_of,
)

__all__ = ["Settings"]

# Longest text, in characters: Linux allows paths of up to 4096 bytes, lists of names are shorter.
_MAX_TEXT_CHARACTERS: Final = 4096
# Longest name of a codec, preset or colour, in characters.
_MAX_NAME_CHARACTERS: Final = 64
# Limits of `size`: cameras do not offer smaller pictures, nor more pixels than twice 8K.
_MIN_SIDE_PX: Final = 16
_MAX_PIXELS: Final = 2 * 7680 * 4320


*_FIRST_KINDS, _LAST_KIND = (kind.help for kind in BACKGROUND_KINDS.values())
_KINDS_OF_BACKGROUND: Final = f"{', '.join(_FIRST_KINDS)}, or {_LAST_KIND}"
# Showing the room is not offered for typing.
_BACKGROUND_ON_PAGE: Final = (
    "What is put behind, also what is not in the gallery: the path of a picture, a video or "
    "GIF, or a folder of pictures; "
    + ", ".join(
        kind.help for kind in BACKGROUND_KINDS.values() if kind.label and not kind.room_warning
    )
)
*_FIRST_SOURCES, _LAST_SOURCE = (kind.help for kind in SOURCE_KINDS.values() if kind.help)


class Settings(BaseModel):
    """Every option, with its default. Immutable; `changed` makes another one.

    Raises
    ------
    SettingsError
        If a name is unknown or a value is out of range, naming the setting.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )

    background: Annotated[
        str,
        About(
            Group.BACKGROUND,
            stage=Stage.BACKGROUND,
            path=PathKind.FILE,
            metavar="SPEC",
            hosted=True,
            page_help=_BACKGROUND_ON_PAGE,
        ),
        Field(
            min_length=1,
            description=(
                "What is put behind: a picture, a video or animation, a folder of pictures, a "
                f"built-in one ({', '.join(BUILTIN)}), {_KINDS_OF_BACKGROUND}"
            ),
        ),
    ] = "blur"
    fit: Annotated[
        Fit,
        About(Group.BACKGROUND, stage=Stage.BACKGROUND, hosted=True),
        Field(description="How a background fills the frame"),
    ] = Fit.COVER
    slide_seconds: Annotated[
        float,
        About(Group.BACKGROUND, stage=Stage.BACKGROUND, unit="s", hosted=True),
        Field(ge=0.1, le=86400, description="How long a folder shows each picture, in seconds"),
    ] = 10.0

    model: Annotated[
        str,
        About(Group.MODEL, stage=Stage.SEGMENTER, path=PathKind.FILE, planned=True, replans=True),
        Field(
            min_length=1,
            description=(
                "The segmentation model: a name that greenroom models lists, a card (.toml), or a "
                "model file (.tflite, .onnx, .pb, .tar.gz)"
            ),
        ),
    ] = "selfie"
    models_dir: Annotated[
        Path | None,
        About(Group.MODEL, stage=Stage.SEGMENTER, path=PathKind.FILE, on_page=False),
        Field(
            description=(
                "A folder with model files, looked into before the cache and the network; by "
                "default what GREENROOM_MODELS_DIR names"
            )
        ),
    ] = None
    accept_license: Annotated[
        bool,
        About(Group.MODEL, stage=Stage.SEGMENTER),
        Field(
            description=(
                "Accept the licence of a model that is downloaded, also if it is copyleft or "
                "non-commercial"
            )
        ),
    ] = False
    device: Annotated[
        Device,
        About(Group.MODEL, stage=Stage.SEGMENTER, replans=True),
        Field(
            description=(
                "Where the model runs; auto takes the best device that really runs it, any other "
                "that cannot is an error. With cuda, tensorrt and auto a GPU does the other work, "
                "too, if it can"
            )
        ),
    ] = Device.AUTO
    keep: Annotated[
        str | None,
        About(Group.MODEL, stage=Stage.SEGMENTER, replans=True),
        Field(
            min_length=1,
            description=(
                "What stays, of a model that knows several classes: names with commas between, "
                "such as person,chair,dog; by default what the model is meant for"
            ),
        ),
    ] = None
    key_color: Annotated[
        str | None,
        About(Group.MODEL, stage=Stage.SEGMENTER),
        Field(
            max_length=_MAX_NAME_CHARACTERS,
            description=(
                "The colour of the screen behind you, for the model chroma: #00b140 or a CSS "
                "name; found by itself if it is not given"
            ),
        ),
    ] = None
    threads: Annotated[
        int,
        About(Group.MODEL, stage=Stage.SEGMENTER),
        Field(ge=1, le=64, description="Threads that the model may use"),
    ] = 1

    people: Annotated[
        People,
        About(Group.STAYS, stage=Stage.MATTING, hosted=True),
        Field(description="Who stays; main: only the person in front, passers-by do not appear"),
    ] = People.ALL
    keep_region: Annotated[
        str | None,
        About(Group.STAYS, stage=Stage.MATTING, replans=True),
        Field(
            min_length=1,
            description=(
                "What stays of the room, such as your chair: x,y,width,height around it, in pixels "
                "or in % (40%,30%,20%,70%), or a picture that is white there; several with ; "
                "between"
            ),
        ),
    ] = None
    plate: Annotated[
        Path | None,
        About(Group.STAYS, stage=Stage.MATTING, path=PathKind.FILE, replans=True),
        Field(description="A picture of the empty room, made by greenroom plate record"),
    ] = None

    threshold: Annotated[
        float | None,
        About(Group.EDGE, stage=Stage.MATTING, hosted=True),
        Field(
            ge=0.01,
            le=1,
            description="Make a hard matte: foreground is what has at least this coverage",
        ),
    ] = None
    edge_shift: Annotated[
        float,
        About(Group.EDGE, stage=Stage.MATTING, unit="%", hosted=True),
        Field(
            ge=-5,
            le=5,
            description="Move the edge outwards, or inwards if negative, in % of the shorter side",
        ),
    ] = 0.0
    edge_softness: Annotated[
        float,
        About(Group.EDGE, stage=Stage.MATTING, unit="%", hosted=True),
        Field(ge=0, le=5, description="Soften the edge, in % of the shorter side"),
    ] = 0.0
    quality: Annotated[
        Quality,
        About(Group.EDGE, stage=Stage.MATTING, planned=True, replans=True, hosted=True),
        Field(
            description=(
                "How much is done for a good matte: fast follows the person and steadies the "
                "edge, balanced also learns colours and the room and finds the picture's own "
                "edges, best looks at every frame twice, in files and on a GPU with two models "
                "where the second one's weights are there"
            )
        ),
    ] = Quality.BALANCED
    smoothing: Annotated[
        float,
        About(Group.EDGE, stage=Stage.MATTING, hosted=True),
        Field(
            ge=0,
            le=0.99,
            description=(
                "Steady the matte over time where the picture stands still; 0 turns it off. Not "
                "for models that make mattes themselves"
            ),
        ),
    ] = 0.95

    clean_edges: Annotated[
        bool,
        About(Group.EDGE, hosted=True),
        Field(description="Take the room's colour out of soft edges, such as hair"),
    ] = True

    light_wrap: Annotated[
        float,
        About(Group.SCENE, hosted=True),
        Field(
            ge=0,
            le=1,
            description=(
                "Let the background's light spill over the person's edge; 0 turns it off. No "
                "effect with a transparent background"
            ),
        ),
    ] = 0.0
    match_light: Annotated[
        float,
        About(Group.SCENE, hosted=True),
        Field(
            ge=0,
            le=1,
            description=(
                "Match the person's brightness and white balance to the background's; 0 turns it "
                "off. No effect with a transparent background"
            ),
        ),
    ] = 0.0

    mirror: Annotated[
        bool,
        About(Group.PICTURE, hosted=True),
        Field(
            description=(
                "Mirror the person, as in a looking glass; the background stays as it is. Only for "
                "what is sent: the preview is always mirrored"
            )
        ),
    ] = False
    framing: Annotated[
        Framing,
        About(Group.PICTURE, hosted=True),
        Field(description="Follow the person with a slow crop and zoom, or show the whole picture"),
    ] = Framing.OFF
    low_light: Annotated[
        float,
        About(Group.PICTURE, hosted=True),
        Field(ge=0, le=1, description="Strength of brightening dark pictures; 0 turns it off"),
    ] = 0.0
    keep_interlaced: Annotated[
        bool,
        About(Group.PICTURE, stage=Stage.CAMERA),
        Field(description="Leave interlaced video as it is, with combs where something moves"),
    ] = False
    overlay: Annotated[
        str | None,
        About(Group.PICTURE, stage=Stage.OVERLAY, path=PathKind.FILE_AT_PLACE),
        Field(
            min_length=1,
            description=(
                "A picture in front of everything, and where: logo.png@bottom-right (top-left, "
                "top, top-right, left, center, right, bottom-left, bottom)"
            ),
        ),
    ] = None

    source: Annotated[
        str,
        About(Group.CAMERA, stage=Stage.CAMERA, path=PathKind.FILE),
        Field(min_length=1, description=f"{', '.join(_FIRST_SOURCES)}, or {_LAST_SOURCE}"),
    ] = "0"
    capture: Annotated[
        CaptureLibrary,
        About(Group.CAMERA, stage=Stage.CAMERA),
        Field(description="The library that reads the camera"),
    ] = CaptureLibrary.FFMPEG
    size: Annotated[
        str | None,
        About(Group.CAMERA, stage=Stage.CAMERA),
        Field(
            description="Size to ask the camera for; by default 1280x720, or what comes near to it"
        ),
    ] = None
    rate: Annotated[
        float | None,
        About(Group.CAMERA, stage=Stage.CAMERA),
        Field(
            ge=1,
            le=240,
            description=(
                "Frames a second to ask the camera for; by default what it has for that size"
            ),
        ),
    ] = None
    loop: Annotated[
        bool,
        About(Group.CAMERA, stage=Stage.CAMERA),
        Field(description="Begin a video file again at its end"),
    ] = False
    reconnect_seconds: Annotated[
        float | None,
        About(Group.CAMERA, stage=Stage.CAMERA, unit="s"),
        Field(
            ge=0,
            le=1e6,
            description="How long to wait for a camera that went away; by default for ever",
        ),
    ] = None

    to: Annotated[
        str,
        About(Group.LIVE, live=False, on_page=False),
        Field(
            min_length=1,
            description=(
                "Where the picture goes, with commas between: "
                f"{', '.join(output.help for output in LIVE_OUTPUTS.values())}"
            ),
        ),
    ] = "camera,page"
    on_demand: Annotated[
        bool,
        About(Group.LIVE),
        Field(
            description=(
                "Close the camera while nobody looks at what is sent, where that can be told"
            )
        ),
    ] = True
    budget_ms: Annotated[
        float | None,
        About(Group.LIVE, stage=Stage.GOVERNOR, unit="ms"),
        Field(
            ge=1,
            le=10000,
            description="How long a frame may take, in milliseconds, before less is done for it",
        ),
    ] = None
    budget_cpu: Annotated[
        float,
        About(Group.LIVE, stage=Stage.GOVERNOR, unit="%"),
        Field(
            ge=1, le=100, description="How much of the machine may be used, in % of all its cores"
        ),
    ] = 50.0

    on_failure: Annotated[
        OnFailure,
        About(Group.FAILURE, on_page=False, saved=False),
        Field(
            description=(
                "What to do when a frame has no valid matte: stop with an error, or show the "
                "background alone and go on"
            )
        ),
    ] = OnFailure.STOP
    timeout_s: Annotated[
        float,
        About(Group.FAILURE, unit="s", on_page=False),
        Field(ge=0.01, le=3600, description="How long a frame may take, in seconds"),
    ] = 10.0
    allow_truncated: Annotated[
        bool,
        About(Group.FAILURE, on_page=False),
        Field(description="Convert what can be decoded of a damaged or cut-off input"),
    ] = False

    codec: Annotated[
        str | None,
        About(Group.OUTPUT, on_page=False),
        Field(
            min_length=1,
            max_length=_MAX_NAME_CHARACTERS,
            description=(
                "Video codec: h264, hevc, av1, vp9, prores, ffv1, or an encoder of FFmpeg by name; "
                "by default the usual one of the file's type"
            ),
        ),
    ] = None
    output_quality: Annotated[
        int,
        About(Group.OUTPUT, on_page=False),
        Field(ge=0, le=100, description="Quality of lossy pictures and video, 100 is best"),
    ] = 75
    preset: Annotated[
        str | None,
        About(Group.OUTPUT, on_page=False),
        Field(
            min_length=1,
            max_length=_MAX_NAME_CHARACTERS,
            description="Speed preset of the encoder, such as veryfast or slow for h264",
        ),
    ] = None
    keep_location: Annotated[
        bool,
        About(Group.OUTPUT, on_page=False),
        Field(description="Carry over where the input was recorded, which is left out otherwise"),
    ] = False
    overwrite: Annotated[
        bool,
        About(Group.OUTPUT, on_page=False),
        Field(description="Replace an output that is there already"),
    ] = False
    view: Annotated[
        View,
        About(Group.VIEW, on_page=False),
        Field(
            description=(
                "What is written: the picture, its matte, or the input beside the picture, which "
                "shows the room"
            )
        ),
    ] = View.PICTURE

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise settings_error(error, type(self).model_fields) from None

    def changed(self, /, **values: Any) -> Self:
        """Return settings with some values replaced, checked as a whole."""
        return type(self)(**{**self.model_dump(exclude_unset=True), **values})

    @classmethod
    def from_toml(cls, path: str | Path, **values: Any) -> Self:
        """Read settings from a TOML file; keyword arguments take precedence.

        Raises
        ------
        SettingsError
            If the file cannot be read, is not TOML, or has an unknown name or wrong value.
        """
        try:
            read = parse_toml(decode_toml(Path(path).read_bytes()))
        except OSError as error:
            message = f"settings file '{path}' cannot be read: {error.strerror}"
            raise SettingsError(message) from error
        except ValueError as error:
            message = f"settings file '{path}' is not valid TOML: {error}"
            raise SettingsError(message) from error
        try:
            return cls(**{**read, **values})
        except SettingsError as error:
            if error.name in values:
                raise
            message = f"settings file '{path}': {error}"
            raise SettingsError(message, error.name) from None

    @field_validator("*", mode="before")
    @classmethod
    def _check_flag(cls, value: Any, info: ValidationInfo) -> Any:
        """Reject true and false for numbers, which pydantic would convert to 1 and 0."""
        expected = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and expected is not bool:
            message = f"expected a value, not {str(value).lower()}"
            raise SettingsError(message)
        return value

    @field_validator("*")
    @classmethod
    def _check_text(cls, value: Any) -> Any:
        """Reject texts that are too long or contain NUL."""
        text = str(value) if isinstance(value, (str, Path)) else ""
        if len(text) > _MAX_TEXT_CHARACTERS:
            message = f"expected at most {_MAX_TEXT_CHARACTERS} characters, not {len(text)}"
            raise SettingsError(message)
        if "\0" in text:
            message = f"expected text without the character NUL, not {repeated(text)}"
            raise SettingsError(message)
        return value

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: str | None) -> str | None:
        if size is not None:
            found = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", size)
            sides = (0, 0) if found is None else (int(found[1]), int(found[2]))
            fits = min(sides) >= _MIN_SIDE_PX and max(sides) <= MAX_SIDE_PX
            if not fits or sides[0] * sides[1] > _MAX_PIXELS:
                message = (
                    f"expected WIDTHxHEIGHT such as 1280x720, {_MIN_SIDE_PX} to "
                    f"{MAX_SIDE_PX} pixels a side and at most {_MAX_PIXELS} in all, not "
                    f"{repeated(size)}"
                )
                raise SettingsError(message, "size")
        return size

    @property
    def width_height(self) -> tuple[int, int] | None:
        """The setting ``size`` as (width, height) in pixels; None if it is not set."""
        if self.size is None:
            return None
        width, height = self.size.split("x")
        return int(width), int(height)

    @field_validator("keep_region", "key_color")
    @classmethod
    def _check_notation(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None and info.field_name == "keep_region":
            parse_regions(text)
        elif text is not None:
            rgb_of(text, "key_color")
        return text

    @classmethod
    def about(cls, name: str) -> About:
        """Return the metadata of a setting.

        Raises
        ------
        KeyError
            If there is no such setting.
        TypeError
            If it was declared without metadata.
        """
        for one in cls.model_fields[name].metadata:
            if isinstance(one, About):
                return one
        message = f"setting '{name}' is declared without About"
        raise TypeError(message)

    @classmethod
    def names(cls, **wanted: object) -> tuple[str, ...]:
        """Return the names of settings whose metadata have the given values, as declared.

        >>> Settings.names(stage=Stage.GOVERNOR)
        ('budget_ms', 'budget_cpu')
        """
        return _names(cls, tuple(wanted.items()))


@cache
def _names(settings: type[Settings], wanted: tuple[tuple[str, object], ...]) -> tuple[str, ...]:
    return tuple(
        name
        for name in settings.model_fields
        if all(getattr(settings.about(name), key) == value for key, value in wanted)
    )
