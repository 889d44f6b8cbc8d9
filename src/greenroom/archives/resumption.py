"""What of earlier runs stands: each recording against the manifest and the output folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from greenroom.archives.inputs import MISSING
from greenroom.archives.manifest import State
from greenroom.archives.output_folder import exists
from greenroom.archives.setting_files import differences
from greenroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.archives.inputs import Recording
    from greenroom.archives.manifest import FileRow, Manifest
    from greenroom.archives.output_folder import OutputFolder
    from greenroom.archives.setting_files import SettingsKey, SettingsKeys
    from greenroom.archives.storage import Entry

__all__ = ["Standing", "take_up"]


class _Case(StrEnum):
    """A recording, as it stands."""

    NEW = "new"
    GOES_ON = "goes on"
    DONE = "done"
    OUTPUT_GONE = "output gone"
    OUTPUT_FOREIGN = "output foreign"
    INPUT_CHANGED = "input changed"
    SETTINGS_CHANGED = "settings changed"
    OTHER_INPUT = "other input"


@dataclass(frozen=True, slots=True)
class Standing:
    """How many recordings stand how, at the beginning of a run.

    Attributes
    ----------
    done : int
        Finished by earlier runs, and kept.
    new, goes_on : int
        Not finished yet: never tried, or tried by earlier runs.
    input_changed, settings_changed, output_gone : int
        Finished by earlier runs, and done again for that reason.
    output_foreign : int
        Not done, as there is a file of that name that this job did not write.
    other_version : int
        Of those that are done: by another version of greenroom.
    """

    done: int
    new: int
    goes_on: int
    input_changed: int
    settings_changed: int
    output_gone: int
    output_foreign: int
    other_version: int

    @property
    def to_do(self) -> int:
        """Number of files that this run does."""
        again = self.input_changed + self.settings_changed + self.output_gone
        return self.new + self.goes_on + again


def take_up(
    manifest: Manifest,
    run: int,
    found: Sequence[Recording],
    keys: SettingsKeys,
    folder: OutputFolder,
    *,
    redo: bool,
    version: str,
) -> Standing:
    """Compare recordings with the manifest, and note there which are to be done.

    Parameters
    ----------
    manifest : Manifest
        Changed as a whole, or not at all.
    run : int
        Number of this run.
    found : sequence of Recording
    keys : SettingsKeys
    folder : OutputFolder
    redo : bool
        Whether what was finished with other settings is done again.
    version : str
        That of greenroom.

    Raises
    ------
    SettingsError
        If the folder is another job's, an output belongs to another input, or settings differ from
        those of finished files.
    SinkError
        If the manifest or the folder cannot be used.
    OSError
        If a file that settings name cannot be read.
    """
    outputs = folder.outputs()
    counts: Counter[_Case] = Counter()
    other_version, known = 0, 0
    some = manifest.any_row()
    with manifest.transaction():
        for one in found:
            key, row = keys.key(one.settings), manifest.row(one.output)
            case = _case(one, key, row, outputs.get(one.output))
            known += row is not None and _is_same(row, one)
            counts[case] += 1
            if row is not None and case is _Case.OTHER_INPUT:
                raise _other_input(one, row)
            if row is not None and case is _Case.SETTINGS_CHANGED and not redo:
                raise _other_settings(one, manifest.chosen(row.settings), key.values)
            if row is not None and case in (_Case.DONE, _Case.GOES_ON):
                state = State.DONE if case is _Case.DONE else State.PENDING
                manifest.keep(row.number, one.input.name, state, run)
                other_version += state is State.DONE and row.greenroom != version
            else:
                number = manifest.add(one.output, one.input, key, run)
                if case is _Case.OUTPUT_FOREIGN:
                    manifest.fail(number, str(exists(folder.final_name(one.output))))
        if some is not None and not known:
            message = (
                f"'{folder.name}' is the output folder of another job: '{some.output}' in it is of "
                f"'{some.input}', and none of its inputs is among these. Give another folder."
            )
            raise SettingsError(message)
    return Standing(
        done=counts[_Case.DONE],
        new=counts[_Case.NEW],
        goes_on=counts[_Case.GOES_ON],
        input_changed=counts[_Case.INPUT_CHANGED],
        settings_changed=counts[_Case.SETTINGS_CHANGED],
        output_gone=counts[_Case.OUTPUT_GONE],
        output_foreign=counts[_Case.OUTPUT_FOREIGN],
        other_version=other_version,
    )


def _case(one: Recording, key: SettingsKey, row: FileRow | None, output: Entry | None) -> _Case:
    """Tell how a recording stands."""
    may_replace = (
        output is None
        or one.settings.overwrite
        or (row is not None and output.fingerprint == row.written)
    )
    if row is None or row.state is not State.DONE:
        is_alike = row is not None and (row.fingerprint, row.settings, row.input) == (
            one.input.fingerprint,
            key.digest,
            one.input.name,
        )
        goes_on = _Case.GOES_ON if is_alike else _Case.NEW
        return goes_on if may_replace else _Case.OUTPUT_FOREIGN
    if not _is_same(row, one):
        return _Case.OTHER_INPUT
    if output is None or not may_replace:
        return _Case.OUTPUT_GONE if output is None else _Case.OUTPUT_FOREIGN
    if row.settings != key.digest:
        return _Case.SETTINGS_CHANGED
    is_unchanged = one.input.fingerprint in (row.fingerprint, MISSING)
    return _Case.DONE if is_unchanged else _Case.INPUT_CHANGED


def _is_same(row: FileRow, one: Recording) -> bool:
    """Whether a row is of that recording, which may have moved with its folder."""
    return row.input == one.input.name or row.fingerprint == one.input.fingerprint


def _other_input(one: Recording, row: FileRow) -> SettingsError:
    """Return the refusal to replace what was made of another input."""
    message = (
        f"'{one.output}' is there already, made of '{row.input}', and would be made of "
        f"'{one.input.name}'. Give another output folder, or name its output in a list."
    )
    return SettingsError(message)


def _other_settings(one: Recording, before: str, after: str) -> SettingsError:
    """Return the refusal to replace what was finished with other settings."""
    message = (
        f"'{one.output}' was finished with other settings ({differences(before, after)}). Give the "
        f"same ones to keep what is finished, or --redo to do it again; or another output folder."
    )
    return SettingsError(message)
