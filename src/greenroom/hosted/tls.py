"""A certificate of the service's own, for tests and local networks: browsers warn of it."""

from __future__ import annotations

import ipaddress
import logging
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import platformdirs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from greenroom.media.file_writing import private_folder, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["self_signed"]

logger = logging.getLogger(__name__)

_VALID: Final = timedelta(days=365)
# A certificate that ends sooner is made anew.
_LEFT: Final = timedelta(days=30)
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")


def self_signed(names: Iterable[str], folder: Path | None = None) -> Path:
    """Return a file with a certificate and its key, PEM; kept, so that browsers are told once.

    Parameters
    ----------
    names : iterable of str
        Host names and addresses besides those of this machine.
    folder : Path, optional
        Where it is kept; by default in the user's data folder.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    wanted = {*_LOCAL_NAMES, socket.gethostname(), *names} - {"0.0.0.0", "::", ""}  # noqa: S104
    folder = folder or platformdirs.user_data_path("greenroom", appauthor=False) / "tls"
    private_folder(folder)
    path = folder / "self-signed.pem"
    with suppress(OSError, ValueError):
        if _serves(x509.load_pem_x509_certificate(path.read_bytes()), wanted):
            return path
    write_atomically(path, _made(sorted(wanted)), private=True)
    logger.info("a certificate was made: %s", path)
    return path


def _serves(certificate: x509.Certificate, wanted: set[str]) -> bool:
    """Whether a certificate is for all names, and for a while yet."""
    has_time = certificate.not_valid_after_utc - datetime.now(UTC) > _LEFT
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return has_time and {str(name.value) for name in extension.value} >= wanted


def _made(names: list[str]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "greenroom")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)  # noqa: FBT003
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)  # noqa: FBT003
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
