"""Download of a file, complete or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from greenroom.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

__all__ = ["Download"]

# Allowed addresses, including redirections.
_PREFIXES: Final = ("https://",)
_CONNECT_TIMEOUT_S: Final = 15.0
# A server that sends nothing, or less than this many bytes, in this time is too slow.
_STALL_S: Final = 30.0
_MIN_BYTES_PER_STALL: Final = 30 * 1024
# Limit for files of unknown size.
_MAX_BYTES: Final = 4 << 30
_CHUNK_BYTES: Final = 1 << 18
# Age at which partial files of killed processes are removed.
_ABANDONED_S: Final = 86400.0
_PART_SUFFIX: Final = ".part"
# First bytes of answers that are not the file.
_WRONG_CONTENT: Final = {
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML message",
    b"version https://git-lfs": "a Git LFS pointer",
}
_WRONG_CONTENT_MESSAGE: Final = (
    "the server sent {} instead of the file; perhaps the network asks for a login"
)


@dataclass(frozen=True, slots=True)
class Download:
    """A download.

    Attributes
    ----------
    url : str
        Address. `requests` takes proxies and certificates from the environment.
    target : Path
        Destination; missing folders are created.
    size : int, optional
        Expected number of bytes.
    progress : callable, optional
        Called with the bytes so far, and the total if known.
    """

    url: str
    target: Path
    size: int | None = None
    progress: Callable[[int, int | None], None] | None = None

    def run(self, check: Callable[[Path], None]) -> None:
        """Download to a temporary file beside the target, check it, and rename it.

        Concurrent downloads of one file do not conflict: each has a temporary file of its own.

        Parameters
        ----------
        check : callable
            Called with the temporary file; raises `ModelError` if it is not the right one.

        Raises
        ------
        ModelError
            If the download or writing fails; no file is left behind.
        """
        folder = self.target.parent
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            number, name = tempfile.mkstemp(_PART_SUFFIX, f".{self.target.name}.", folder)
        part = Path(name)
        try:
            with os.fdopen(number, "wb", buffering=0) as file:
                self._receive(file)
            check(part)
            with self._writing():
                # mkstemp creates files readable by the owner only.
                part.chmod(0o644)
                part.replace(self.target)
        finally:
            part.unlink(missing_ok=True)

    def _receive(self, file: Any) -> None:
        import requests  # noqa: PLC0415 - takes 0.1 s, and most runs download nothing
        import urllib3  # noqa: PLC0415 - comes with requests

        try:
            with requests.Session() as session:
                session.adapters.clear()
                for prefix in _PREFIXES:
                    session.mount(prefix, requests.adapters.HTTPAdapter())
                with session.get(
                    self.url,
                    stream=True,
                    timeout=(_CONNECT_TIMEOUT_S, _STALL_S),
                    # Uncompressed, so that Content-Length is the file's size.
                    headers={"Accept-Encoding": "identity"},
                ) as response:
                    self._copy(response, file, self._expected(response))
        except requests.exceptions.InvalidSchema:
            self._refuse("it leads to an address that is not HTTPS")
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            self._fail("the server is too slow or silent")
        except urllib3.exceptions.ProtocolError:
            self._fail("the connection was cut")
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            self._fail(_root_cause_text(error))

    def _expected(self, response: requests.Response) -> int | None:
        """Check the response's headers, and return the expected number of bytes."""
        if not response.ok:
            self._fail(f"the server answered {response.status_code} {response.reason}".rstrip())
        if response.headers.get("Content-Type", "").startswith("text/html"):
            self._fail(_WRONG_CONTENT_MESSAGE.format("a web page"))
        announced = response.headers.get("Content-Length", "")
        total = int(announced) if announced.isdecimal() else None
        if self.size is not None and total not in (None, self.size):
            self._refuse(f"it should have {self.size:,} bytes, but has {total:,}")
        return self.size if total is None else total

    def _copy(self, response: requests.Response, file: Any, total: int | None) -> None:
        done = 0
        for chunk in self._chunks(response):
            done += len(chunk)
            if done > (limit := _MAX_BYTES if total is None else total):
                self._refuse(f"it should have {limit:,} bytes, but has more")
            with self._writing():
                # Unbuffered: a full disk may take part of a chunk.
                while chunk := chunk[file.write(chunk) :]:
                    pass
            if self.progress is not None:
                self.progress(done, total)
        with self._writing():
            os.fsync(file.fileno())
        if total is not None and done != total:
            self._fail(f"only {done:,} of {total:,} bytes came")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield chunks as they arrive; fail for web pages and slow servers."""
        done = marked = 0
        mark = time.monotonic()
        # read1 returns the bytes available instead of waiting for a full chunk.
        while chunk := response.raw.read1(_CHUNK_BYTES):
            if done == 0:
                start = chunk[:64].lstrip().lower()
                other = (what for head, what in _WRONG_CONTENT.items() if start.startswith(head))
                if what := next(other, None):
                    self._fail(_WRONG_CONTENT_MESSAGE.format(what))
            done += len(chunk)
            yield chunk
            now = time.monotonic()
            if now - mark >= _STALL_S:
                if done - marked < _MIN_BYTES_PER_STALL:
                    self._fail("the server is too slow or silent")
                mark, marked = now, done

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = (
                f"model file '{self.target}' cannot be written: "
                f"{(error.strerror or str(error)).lower()}. Make room there, or put the file into "
                f"a folder of your own and name that with --models-dir."
            )
            raise ModelError(message, self.target) from error

    def _fail(self, why: str) -> NoReturn:
        message = (
            f"'{self.url}' cannot be downloaded: {why}. Try again, or get it elsewhere and put it "
            f"into the folder of --models-dir."
        )
        raise ModelError(message, self.target)

    def _refuse(self, why: str) -> NoReturn:
        message = f"'{self.url}' is not what the model's card says: {why}. Do not use it."
        raise ModelError(message, self.target)


def _sweep(folder: Path) -> None:
    """Remove partial files of killed processes."""
    for part in folder.glob(f".*{_PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED_S:
                part.unlink()


def _root_cause_text(error: BaseException) -> str:
    """Return the message of the first cause of an error."""
    seen = error
    while (cause := seen.__cause__ or seen.__context__) is not None:
        seen = cause
    text = seen.strerror if isinstance(seen, OSError) else None
    return (text or str(seen) or type(seen).__name__).rstrip(".").lower()
