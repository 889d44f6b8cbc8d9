"""Flags made from `Settings`, and what every command does about errors."""

from __future__ import annotations

import functools
import inspect
import logging
import pkgutil
import signal
import sys
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from greenroom.cli.help import filled
from greenroom.cli.lean_start import end_start
from greenroom.cli.process_end import (
    STATUS_FAILED,
    STATUS_INTERRUPTED,
    STATUS_TERMINATED,
    STATUS_USAGE,
)
from greenroom.cli.standard_streams import say
from greenroom.errors import GreenroomError, SettingsError
from greenroom.settings import Group, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from pydantic.fields import FieldInfo

    from greenroom.settings import About

__all__ = [
    "Json",
    "OutDir",
    "declared_command",
    "ignore_signals",
    "plain_command",
    "settings_command",
]

# Loaded when they are called.
_PRINT_CLASSES = "greenroom.cli.model_classes:print_classes"
_DEFAULT_CONFIG_PATH = "greenroom.desktop.settings_file:default_config_path"
_ENDING = (signal.SIGINT, signal.SIGTERM)

_Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        help="Read settings from a TOML file, by the same names; flags take precedence.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OutDir = Annotated[
    Path | None, typer.Option(help="Write every input into this folder, under its own name.")
]
_Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")]


_ListClasses = Annotated[
    bool,
    typer.Option(
        "--list-classes",
        help="Print the classes that --keep can name, of the model that is chosen, and end.",
        rich_help_panel=Group.MODEL.value,
    ),
]


class _Terminated(BaseException):
    """SIGTERM came."""


def plain_command(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command without settings the same end as one with them: see `settings_command`."""
    return _ending_alike(command, command)


def declared_command(work: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command without settings the same end, and its work: see `settings_command`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def perform(**values: Any) -> None:
            pkgutil.resolve_name(work)(**values)

        return _ending_alike(command, perform)

    return decorate


def _ending_alike(
    command: Callable[..., None], perform: Callable[..., None]
) -> Callable[..., None]:
    @functools.wraps(command)
    def run(*, debug: bool, **values: Any) -> None:
        with _ended_by_signals(), _reporting(debug=debug):
            end_start()
            perform(**values)

    run.__doc__ = filled(command.__doc__)
    own = inspect.signature(command, eval_str=True).parameters.values()
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*own, _keyword("debug", _Debug, default=False)]
    )
    return run


def settings_command(
    *groups: Group,
    work: str | None = None,
    kind: type[Settings] = Settings,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a flag for every setting of some groups.

    The command is called with ``settings=`` made of the flags and ``--config``, and with
    ``config=`` and ``flags=``, the settings that flags gave, if it takes these. Errors that
    greenroom raises end it with one sentence on standard error and status 1, or 2 for
    wrong usage; Ctrl-C with 130, SIGTERM with 143. ``kind`` are the settings.

    Where ``work`` names a function, as ``package.module:function``, that is called instead: the
    command only declares the arguments, so that its help loads no engine.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        names = [name for group in groups for name in kind.names(group=group)]
        has_model = Group.MODEL in groups
        parameters = inspect.signature(command, eval_str=True).parameters

        @functools.wraps(command)
        def run(*, config: Path | None, debug: bool, **values: Any) -> None:
            with _ended_by_signals(), _reporting(debug=debug):
                chosen = {name: value for name in names if (value := values.pop(name)) is not None}
                if config is None and "config" in parameters:
                    # What runs for long begins with the user's own settings.
                    usual = pkgutil.resolve_name(_DEFAULT_CONFIG_PATH)()
                    config = usual if usual.exists() else None
                settings = kind.from_toml(config, **chosen) if config else kind(**chosen)
                if values.pop("list_classes", False):
                    pkgutil.resolve_name(_PRINT_CLASSES)(settings.model)
                    return
                perform = command if work is None else pkgutil.resolve_name(work)
                end_start()
                given = {"settings": settings, "config": config, "flags": chosen}
                perform(**values, **{name: given[name] for name in given.keys() & parameters})

        run.__doc__ = filled(command.__doc__)
        own = [
            parameter
            for name, parameter in parameters.items()
            if name not in ("settings", "config", "flags")
        ]
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                *own,
                *(_flag(kind, name) for name in names),
                *([_keyword("list_classes", _ListClasses, default=False)] if has_model else []),
                _keyword("config", _Config, default=None),
                _keyword("debug", _Debug, default=False),
            ]
        )
        return run

    return decorate


def _flag(settings: type[Settings], name: str) -> inspect.Parameter:
    """Make the flag of a setting; None means that it was not given."""
    field, about = settings.model_fields[name], settings.about(name)
    kind = _kind(field)
    dashed = name.replace("_", "-")
    option = typer.Option(
        f"--{dashed}/--no-{dashed}" if kind is bool else f"--{dashed}",
        help=f"{field.description}.",
        show_default=_shown(field.default),
        rich_help_panel=about.group.value,
        metavar=_metavar(about, field, kind),
    )
    return _keyword(name, Annotated[kind | None, option], default=None)


def _keyword(name: str, annotation: object, *, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _kind(field: FieldInfo) -> Any:
    """Return the type of a setting without its None."""
    if get_origin(field.annotation) is UnionType:
        return next(part for part in get_args(field.annotation) if part is not type(None))
    return field.annotation


def _shown(default: object) -> str | bool:
    if default is None:
        return False
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default.value if isinstance(default, Enum) else default)


def _metavar(about: About, field: FieldInfo, kind: Any) -> str | None:
    """Show the range of a number where the type alone would not."""
    if kind in (int, float):
        limits = {
            sign: getattr(part, key)
            for part in field.metadata
            for key, sign in (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below"))
            if getattr(part, key, None) is not None
        }
        return " ".join(f"{sign} {value:g}" for sign, value in limits.items()) or None
    return about.metavar


@contextmanager
def _reporting(*, debug: bool) -> Iterator[None]:
    """Turn every end of a command into a sentence and an exit status."""
    _log_to_stderr()
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        ignore_signals()
        say("interrupted")
        raise typer.Exit(STATUS_INTERRUPTED) from None
    except _Terminated:
        ignore_signals()
        say("terminated")
        raise typer.Exit(STATUS_TERMINATED) from None
    except BrokenPipeError:
        # The reader of standard output is gone; there is nobody to tell, and nothing to flush.
        sys.stdout = None
        raise typer.Exit(STATUS_FAILED) from None
    except GreenroomError as error:
        if debug:
            raise
        say(f"error: {error}")
        raise typer.Exit(
            STATUS_USAGE if isinstance(error, SettingsError) else STATUS_FAILED
        ) from None
    except Exception as error:
        if debug:
            raise
        say(f"error: {type(error).__name__}: {error} (a bug; --debug shows where)")
        raise typer.Exit(STATUS_FAILED) from None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have SIGTERM end the command; afterwards signals do as before, unless one has ended it."""
    previous = {number: signal.getsignal(number) for number in _ENDING}
    signal.signal(signal.SIGTERM, _on_terminate)
    status = 0
    try:
        yield
    except typer.Exit as end:
        status = end.exit_code
        raise
    finally:
        if status not in (STATUS_INTERRUPTED, STATUS_TERMINATED):
            for number, handler in previous.items():
                signal.signal(number, handler)


def ignore_signals() -> None:
    """Let the command end as it has begun to, though Ctrl-C is pressed once more."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def _on_terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


class _Messages(logging.Handler):
    """Shows the library's log on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {record.getMessage()}")


def _log_to_stderr() -> None:
    log = logging.getLogger("greenroom")
    log.propagate = False
    if not any(isinstance(handler, _Messages) for handler in log.handlers):
        log.addHandler(_Messages(logging.WARNING))
    # What Pillow logs of a damaged file comes as greenroom's own error, too.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
