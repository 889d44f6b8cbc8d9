"""The settings file: read, edited while greenroom runs, and saved."""

from __future__ import annotations

import logging
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.desktop.settings_file import ConfigFile, default_config_path
from greenroom.errors import SettingsError
from greenroom.settings import (
    CaptureLibrary,
    Device,
    Fit,
    Framing,
    OnFailure,
    People,
    Quality,
    Settings,
)

ODD = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
).filter(
    lambda text: "./" not in text  # a folder that is there, whose path is made absolute
)
NUMBERS = st.floats(0.1, 86400) | st.integers(1, 86400)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "background": ODD,
    "fit": st.sampled_from(Fit),
    "slide_seconds": NUMBERS,
    "model": ODD,
    "models_dir": st.none() | ODD.map(Path),
    "accept_license": st.booleans(),
    "device": st.sampled_from(Device),
    "keep": st.none() | ODD,
    "key_color": st.sampled_from([None, "#00b140", "teal"]),
    "threads": st.integers(1, 64),
    "people": st.sampled_from(People),
    "keep_region": st.sampled_from([None, "1,2,30,40", "40%,30%,20%,70%"]),
    "plate": st.none() | ODD.map(Path),
    "threshold": st.none() | st.floats(0.01, 1),
    "edge_shift": st.floats(-5, 5),
    "quality": st.sampled_from(Quality),
    "smoothing": st.floats(0, 0.99),
    "mirror": st.booleans(),
    "framing": st.sampled_from(Framing),
    "overlay": st.none() | ODD,
    "source": ODD,
    "capture": st.sampled_from(CaptureLibrary),
    "size": st.sampled_from([None, "1280x720"]),
    "reconnect_seconds": st.none() | st.floats(0, 1e6),
    "to": ODD,
    "budget_cpu": st.floats(1, 100),
}
SETTINGS = st.fixed_dictionaries({}, optional=VALUES)

WRITTEN = """\
# My room
background = "beach.jpg"   # the one from Crete

mirror=true
'size' = '1280x720'
overlay = \"\"\"
logo # 1.png@\\
  top\"\"\" # the company's
slide_seconds = 20  # long
"""


def save(path: Path, settings: Settings) -> tuple[ConfigFile, str]:
    """Load a file, save settings to it, and return what is in it."""
    config = ConfigFile(path)
    config.load()
    assert config.save(settings) == path
    return config, path.read_text("utf-8")


def edit(config: ConfigFile, text: str) -> Settings | None:
    """Edit a file, and look at it twice."""
    config.path.write_text(text, "utf-8")
    assert config.poll() is None
    return config.poll()


class TestLoad:
    """Reading."""

    def test_default_place(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The user's own file is in the user's configuration folder."""
        monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path)
        assert default_config_path() == tmp_path / "greenroom.toml"

    def test_absent(self, tmp_path: Path) -> None:
        """Without a file there are the defaults, unless the user named it."""
        assert ConfigFile(tmp_path / "no.toml").load() == Settings()
        with pytest.raises(SettingsError, match=r"no\.toml' cannot be read: No such file"):
            ConfigFile(tmp_path / "no.toml", required=True).load()

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"background = ", "not valid TOML"),
            (b"\xff", "not valid TOML"),
            (b"backgrund = 'blur'", "did you mean 'background'"),
            (b"threads = 0", "setting 'threads'"),
            (b"[live]\nto = 'page'", "unknown setting 'live'"),
            (b"self = 1", "unknown setting 'self'"),
            (b"a = " + b"[" * 5000, "nested too deeply"),
        ],
    )
    def test_nonsense(self, tmp_path: Path, content: bytes, reason: str) -> None:
        """What is wrong is said, with the file's name."""
        path = tmp_path / "my.toml"
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=reason) as error:
            ConfigFile(path).load()
        assert str(path) in str(error.value)

    def test_folder(self, tmp_path: Path) -> None:
        """A folder in place of the file is an error that says so."""
        with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
            ConfigFile(tmp_path).load()

    def test_folder_in_its_place(self, tmp_path: Path) -> None:
        """A file that becomes a folder while it is followed is said, and when it is one again."""
        path = tmp_path / "my.toml"
        path.write_text("mirror = true\n")
        config = ConfigFile(path)
        config.load()
        path.unlink()
        path.mkdir()
        assert config.poll() is config.poll() is None
        assert "cannot be read: Is a directory" in config.error
        path.rmdir()
        assert edit(config, "mirror = true\n") == Settings(mirror=True)
        assert not config.error


class TestPoll:
    """Edits by others while greenroom runs."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> ConfigFile:
        """Return a file that has been loaded."""
        path = tmp_path / "greenroom.toml"
        path.write_text("background = 'blur:0.5'\nmirror = true\n")
        config = ConfigFile(path)
        config.load()
        return config

    def test_nothing_new(self, config: ConfigFile) -> None:
        """A file that nobody touches, or only touches, is no news."""
        os.utime(config.path, (1, 1))
        assert not config.changed()
        assert [config.poll() for _ in range(3)] == [None] * 3

    def test_edit(self, config: ConfigFile) -> None:
        """An edit is returned once, with the names of what it changed."""
        edited = edit(config, "background = 'teal.png'\nmirror = true\nthreads = 2\n")
        assert edited == Settings(background="teal.png", mirror=True, threads=2)
        assert config.changed_names == {"background", "threads"}
        assert config.poll() is None

    def test_same_size_and_time(self, config: ConfigFile) -> None:
        """An edit that leaves size and time as they were is seen too."""
        before = config.path.stat()
        config.path.write_text("background = 'blur:0.7'\nmirror = true\n")
        os.utime(config.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert config.changed()
        config.poll()
        assert config.changed_names == frozenset()
        assert config.poll() == Settings(background="blur:0.7", mirror=True)

    def test_half_written(self, config: ConfigFile) -> None:
        """What is seen once only, such as a file that is being written, counts for nothing."""
        whole = "background = 'sea.png'\nmirror = true\n"
        for part in ("", "background = 'se", whole):
            config.path.write_text(part)
            assert config.poll() is None
            assert config.error == ""
        assert config.poll() == Settings(background="sea.png", mirror=True)

    @pytest.mark.parametrize("text", ["background = ", "threads = 'many'", "oops = 1", "\x00"])
    def test_nonsense(self, config: ConfigFile, text: str) -> None:
        """Nonsense changes nothing and is told until it is mended."""
        before = config.path.read_text()
        assert edit(config, text) is None
        assert str(config.path) in config.error
        assert config.poll() is None
        assert config.error
        assert edit(config, before + "threads = 3\n") is not None
        assert (config.error, set(config.changed_names)) == ("", {"threads"})

    def test_not_unicode(self, config: ConfigFile) -> None:
        """A file in another encoding is nonsense too."""
        config.path.write_bytes(b"background = 'caf\xe9.png'")
        config.poll()
        assert config.poll() is None
        assert "not valid TOML" in config.error

    def test_gone(self, config: ConfigFile) -> None:
        """A file that was removed changes nothing; when it is back it counts again."""
        text = config.path.read_text()
        config.path.unlink()
        assert [config.poll(), config.poll()] == [None, None]
        assert "is gone" in config.error
        assert edit(config, text) == Settings(background="blur:0.5", mirror=True)
        assert (config.error, config.changed_names) == ("", frozenset())

    def test_appears(self, tmp_path: Path) -> None:
        """A file that was not there is read when it appears."""
        config = ConfigFile(tmp_path / "new.toml")
        config.load()
        assert config.poll() is None
        assert config.error == ""
        assert edit(config, "mirror = true") == Settings(mirror=True)

    def test_cannot_be_read(self, config: ConfigFile) -> None:
        """A file that grew beyond all measure is not read; when it is right again, it is."""
        text = config.path.read_text()
        assert edit(config, "#" * (2 << 20)) is None
        assert "more than" in config.error
        assert edit(config, text) is not None
        assert config.error == ""

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
    def test_pipe(self, tmp_path: Path) -> None:
        """A pipe is not waited for."""
        config = ConfigFile(tmp_path / "pipe")
        os.mkfifo(config.path)
        assert config.poll() is None
        assert not config.changed()

    def test_refused(self, config: ConfigFile) -> None:
        """What could not be used is asked for again by the next edit."""
        assert edit(config, "background = 'gone.png'\nthreads = 2\n") is not None
        config.refuse("background 'gone.png' is not there.")
        assert config.error.endswith("greenroom.toml': background 'gone.png' is not there.")
        assert config.poll() is None
        assert edit(config, "background = 'here.png'\nthreads = 2\n") is not None
        assert config.changed_names == {"background", "threads", "mirror"}
        assert config.error == ""


class TestSave:
    """Writing."""

    @given(values=SETTINGS, later=SETTINGS)
    def test_is_read_back(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        values: dict[str, Any],
        later: dict[str, Any],
    ) -> None:
        """Whatever is saved, also over what is there already, is what is read."""
        path = tmp_path_factory.mktemp("saved") / "greenroom.toml"
        for settings in (Settings(**values), Settings(**later)):
            config, text = save(path, settings)
            default = Settings()
            read = tomllib.loads(text)
            assert Settings.from_toml(path) == settings == Settings(**read)
            assert set(read) == {
                name
                for name in Settings.model_fields
                if getattr(settings, name) != getattr(default, name)
            }
            assert config.backup is None
            assert [config.changed(), config.poll(), config.poll()] == [False, None, None]

    def test_flags_are_not_saved(self, tmp_path: Path) -> None:
        """What flags gave for once goes in only if it was changed; what is there stays."""
        path = tmp_path / "greenroom.toml"
        path.write_text("threads = 2\nmirror = true\n")
        config = ConfigFile(path)
        began = config.load().changed(
            source="talk.mp4", to="null", loop=True, mirror=False, on_failure=OnFailure.COVER
        )
        config.begin(began)
        assert config.has(began)
        changed = began.changed(background="color:teal", loop=False, mirror=True)
        assert not config.has(changed)
        config.save(changed)
        assert config.has(changed)
        assert path.read_text() == 'threads = 2\nmirror = true\nbackground = "color:teal"\n'
        config.save(changed.changed(source="other.mp4"))
        assert tomllib.loads(path.read_text())["source"] == "other.mp4"

    def test_nothing_is_lost(self, tmp_path: Path) -> None:
        """What was set back, or is in the file meanwhile, would not be lost."""
        config = ConfigFile(tmp_path / "greenroom.toml")
        config.begin(config.load().changed(mirror=True))
        assert not config.has(Settings(mirror=True, threads=2))
        assert config.has(Settings(mirror=True))
        edit(config, "threads = 2")
        assert config.has(Settings(mirror=True, threads=2))

    @given(values=SETTINGS)
    def test_comments_stay(
        self, tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
    ) -> None:
        """Over a file of the user's, all comments are where they were."""
        path = tmp_path_factory.mktemp("saved") / "greenroom.toml"
        path.write_text(WRITTEN)
        config, text = save(path, Settings(**values))
        assert Settings.from_toml(path).model_dump() == Settings(**values).model_dump()
        assert config.backup is None
        places = [
            text.index(comment)
            for comment in (
                "# My room\n",
                "# the one from Crete\n",
                "# the company's\n",
                "# long\n",
            )
        ]
        assert places == sorted(places)

    def test_only_values_change(self, tmp_path: Path) -> None:
        """A line whose value stays is left as it was written, and new ones come last."""
        path = tmp_path / "greenroom.toml"
        path.write_text(WRITTEN)
        _, text = save(path, ConfigFile(path).load().changed(background="sea.jpg", threads=2))
        assert text == WRITTEN.replace("beach", "sea") + "threads = 2\n"

    def test_back_to_the_default(self, tmp_path: Path) -> None:
        """A line without a comment goes, one with a comment stays."""
        path = tmp_path / "greenroom.toml"
        path.write_text(WRITTEN)
        _, text = save(path, Settings(overlay="a.png@top"))
        assert text == (
            '# My room\nbackground = "blur"   # the one from Crete\n\n'
            'overlay = "a.png@top" # the company\'s\nslide_seconds = 10.0  # long\n'
        )

    def test_line_ends(self, tmp_path: Path) -> None:
        """A file with the line ends of Windows keeps them."""
        path = tmp_path / "greenroom.toml"
        path.write_bytes(b"# mine\r\nmirror = true # yes\r\n")
        save(path, Settings(mirror=True, threads=2))
        assert path.read_bytes() == b"# mine\r\nmirror = true # yes\r\nthreads = 2\r\n"

    def test_unknown_layout(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Nonsense cannot be kept: it is copied first, and a warning says where."""
        path = tmp_path / "greenroom.toml"
        config = ConfigFile(path)
        config.load()
        path.write_text("background = ??? # mine\n")
        with caplog.at_level(logging.WARNING):
            config.save(Settings(mirror=True))
        assert Settings.from_toml(path) == Settings(mirror=True)
        assert config.backup == tmp_path / "greenroom.toml.bak"
        assert config.backup.read_text() == "background = ??? # mine\n"
        assert str(config.backup) in caplog.text

    def test_edit_that_was_not_seen(self, tmp_path: Path) -> None:
        """What somebody wrote since the file was read is not lost."""
        path = tmp_path / "greenroom.toml"
        path.write_text("mirror = true\n")
        config = ConfigFile(path)
        config.load()
        path.write_text("mirror = true\nthreads = 7\n")
        config.save(Settings(mirror=True))
        assert config.backup is not None
        assert config.backup.read_text() == "mirror = true\nthreads = 7\n"
        assert path.read_text() == "mirror = true\n"
        config.save(Settings())
        assert config.backup is None

    def test_new_folder_and_permissions(self, tmp_path: Path) -> None:
        """A new file is the user's alone, in a folder that is made; an old one stays as it is."""
        path = tmp_path / "deep" / "greenroom.toml"
        save(path, Settings(source="rtsp://me:secret@camera/"))
        if os.name == "posix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            path.chmod(0o644)
            save(path, Settings(mirror=True))
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert [each.name for each in path.parent.iterdir()] == ["greenroom.toml"]

    @pytest.mark.skipif(os.name != "posix", reason="links need a privilege on Windows")
    def test_link(self, tmp_path: Path) -> None:
        """A link to the file elsewhere stays a link."""
        (tmp_path / "real.toml").write_text("# mine\n")
        path = tmp_path / "greenroom.toml"
        path.symlink_to("real.toml")
        save(path, Settings(mirror=True))
        assert path.is_symlink()
        assert (tmp_path / "real.toml").read_text() == "# mine\nmirror = true\n"

    def test_cannot_be_written(self, tmp_path: Path) -> None:
        """Where the file cannot be, an error says what to do, and nothing is left."""
        (tmp_path / "file").write_text("")
        config = ConfigFile(tmp_path / "file" / "greenroom.toml")
        with pytest.raises(SettingsError, match="cannot be written: Not a directory"):
            config.save(Settings())
        assert (tmp_path / "file").read_text() == ""

    def test_not_unicode(self, tmp_path: Path) -> None:
        """A file name that is no text cannot be in TOML; the file stays as it was."""
        path = tmp_path / "greenroom.toml"
        path.write_text("mirror = true\n")
        config = ConfigFile(path)
        config.load()
        with pytest.raises(SettingsError, match="setting 'plate' cannot be saved") as error:
            config.save(Settings(plate=Path("caf\udce9.png")))
        assert error.value.name == "plate"
        assert path.read_text() == "mirror = true\n"

    def test_paths_are_seen_from_everywhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A relative path of what is there becomes absolute; words and addresses stay."""
        monkeypatch.chdir(tmp_path)
        for name in ("beach.jpg", "logo@2x.png", "plate.png"):
            (tmp_path / name).touch()
        for name in ("blur", "demo", "0"):
            (tmp_path / name).mkdir()
        settings = Settings(
            background="beach.jpg", overlay="logo@2x.png@top", plate="plate.png", source="demo"
        )
        save(tmp_path / "greenroom.toml", settings)
        read = ConfigFile(tmp_path / "greenroom.toml").load()
        assert read == Settings(
            background=str(tmp_path / "beach.jpg"),
            overlay=f"{tmp_path / 'logo@2x.png'}@top",
            plate=tmp_path / "plate.png",
            source="demo",
        )
        save(tmp_path / "greenroom.toml", Settings(source="rtsp://camera/x.sdp"))
        assert ConfigFile(tmp_path / "greenroom.toml").load().source == "rtsp://camera/x.sdp"
