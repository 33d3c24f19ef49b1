"""Sign the manifest of a model artifact with Ed25519, and verify such signatures.

The manifest holds the digest of every other file, so its signature covers all of them. A signature is the
plain 64 bytes of RFC 8032 and keys are PEM, so that `openssl pkeyutl -rawin` signs and verifies the same.
The arithmetic is libsodium's, by PyNaCl; it is imported only where there is a key.
"""

import base64
import binascii
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from service.artifact import SIGNATURE, SIGNATURE_BYTES, Artifact, Signer, read_artifact, repack
from service.errors import ConfigurationError, MissingExtraError, UntrustedArtifactError

_PUBLIC_DER: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of a public key. Source: RFC 8410, section 4."""
_PRIVATE_DER: Final = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 bytes of a private key. Source: RFC 8410, section 7."""
_KEY_BYTES: Final = 32
_MAX_KEY_FILE_BYTES: Final = 64 * 1024
_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
_BLANK: Final = re.compile(r"\s|\\n")
"""Line ends are lost on the way through some environments, or arrive as a backslash and an n."""
_PUBLIC: Final = "PUBLIC KEY"
_PRIVATE: Final = "PRIVATE KEY"


class PublicKey(msgspec.Struct, frozen=True):
    """Hold a key that verifies."""

    raw: bytes

    @property
    def fingerprint(self) -> str:
        """Return the first half of the sha256 of its DER form, as `openssl pkey -outform DER` has it."""
        return hashlib.sha256(_PUBLIC_DER + self.raw).hexdigest()[:32]

    @property
    def pem(self) -> str:
        """Return the key as openssl writes it."""
        return _pem(_PUBLIC, _PUBLIC_DER + self.raw)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether a signature of this message is of this key."""
        nacl = _sodium()
        try:
            nacl.signing.VerifyKey(self.raw).verify(message, signature)
        except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """Hold a key that signs; nothing shows it but `pem`."""

    _seed: bytes

    @classmethod
    def generate(cls) -> Self:
        """Return a new key from the system's randomness."""
        return cls(os.urandom(_KEY_BYTES))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a PEM file.

        Raises:
            ConfigurationError: It holds no Ed25519 private key, or a locked one.
        """
        kinds = dict(_blocks(_read_text(path), source=str(path)))
        if "ENCRYPTED PRIVATE KEY" in kinds:
            raise ConfigurationError(
                f"the key in {path} has a passphrase, which segserve cannot ask for: "
                "sign with openssl, or give a key without one"
            )
        der = kinds.get(_PRIVATE, b"")
        if not der.startswith(_PRIVATE_DER) or len(der) != len(_PRIVATE_DER) + _KEY_BYTES:
            raise ConfigurationError(
                f"{path} holds no Ed25519 private key: make one with 'segserve models keygen'"
            )
        return cls(der.removeprefix(_PRIVATE_DER))

    def __repr__(self) -> str:
        return "PrivateKey()"

    @property
    def pem(self) -> str:
        """Return the key as openssl writes it: keep it secret."""
        return _pem(_PRIVATE, _PRIVATE_DER + self._seed)

    @property
    def public(self) -> PublicKey:
        """Return the half that verifies."""
        return PublicKey(bytes(_sodium().signing.SigningKey(self._seed).verify_key))

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a signature."""
        return bytes(_sodium().signing.SigningKey(self._seed).sign(message).signature)


def read_public_keys(text: str, *, source: str) -> tuple[PublicKey, ...]:
    """Return the public keys in PEM text, of which there is at least one.

    Raises:
        ConfigurationError: It holds none, or something else; `source` says where it stands.
    """
    keys = []
    for kind, der in _blocks(text, source=source):
        if kind != _PUBLIC:
            raise ConfigurationError(
                f"{source} holds a {kind.lower()[:40]}; to verify, give only the public one, which "
                "'segserve models keygen' writes beside it, or 'openssl pkey -pubout'"
            )
        if not der.startswith(_PUBLIC_DER) or len(der) != len(_PUBLIC_DER) + _KEY_BYTES:
            raise ConfigurationError(f"{source} holds a public key that is not of the kind Ed25519")
        keys.append(PublicKey(der.removeprefix(_PUBLIC_DER)))
    if not keys:
        raise ConfigurationError(f"{source} holds no public key: it should begin -----BEGIN PUBLIC KEY-----")
    _sodium()  # whoever trusts keys learns at once that they cannot be used, not with the first model
    return tuple(keys)


def read_key_files(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """Return the public keys in all of these files.

    Raises:
        ConfigurationError: One of them cannot be read, or holds none.
    """
    return tuple(key for path in paths for key in read_public_keys(_read_text(path), source=str(path)))


def signer_of(artifact: Artifact, keys: Sequence[PublicKey]) -> PublicKey:
    """Return the key that has signed an artifact.

    Raises:
        UntrustedArtifactError: It is not signed, or by none of these.
    """
    version = artifact.manifest.model_version
    known = ", ".join(key.fingerprint[:12] for key in keys)
    if artifact.signature is None:
        raise UntrustedArtifactError(
            f"the model {version} is not signed ({SIGNATURE} is missing), and must be by one of the trusted "
            f"keys ({known}): 'segserve models sign {version} --key FILE' does it"
        )
    signature = artifact.signature
    signer = next((key for key in keys if key.has_signed(artifact.sealed, signature)), None)
    if signer is None:
        raise UntrustedArtifactError(
            f"the signature of the model {version} is of none of the trusted keys ({known}), "
            "or of another manifest.json"
        )
    return signer


def sign_artifact(path: Path, sign: Signer) -> Artifact:
    """Verify an artifact, put a signature into it in place of any before, and return it.

    Raises:
        ArtifactError: It cannot be used.
        ConfigurationError: It cannot be written.
    """
    artifact = read_artifact(path)
    signature = sign(artifact.sealed)
    try:
        if path.is_dir():
            (path / SIGNATURE).write_bytes(signature)
        else:
            _replace(path, repack(artifact, signature=signature))
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be written: {exc.strerror or exc}") from exc
    return read_artifact(path)


def read_signature(path: Path) -> bytes:
    """Read a signature that was made elsewhere.

    Raises:
        ConfigurationError: The file cannot be read, or holds none.
    """
    try:
        with path.open("rb") as file:
            signature = file.read(SIGNATURE_BYTES + 1)
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if len(signature) != SIGNATURE_BYTES:
        raise ConfigurationError(
            f"{path} is no Ed25519 signature: it should have the {SIGNATURE_BYTES} bytes that "
            "'openssl pkeyutl -sign -rawin' writes"
        )
    return signature


def _replace(path: Path, content: bytes) -> None:
    """Write a file anew, so that whoever reads it finds the one or the other, whole."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".unfinished-", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(path.stat().st_mode & 0o777)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _sodium() -> Any:
    """Return PyNaCl, which is not there unless somebody wants signatures."""
    try:
        import nacl.exceptions  # noqa: PLC0415  # an extra, and 20 ms
        import nacl.signing  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise MissingExtraError("with keys", extra="sign", package="pynacl") from exc
    return nacl


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_FILE_BYTES).decode("latin-1")
    except OSError as exc:
        raise ConfigurationError(f"the key file {path} cannot be read: {exc.strerror or exc}") from exc


def _blocks(text: str, *, source: str) -> list[tuple[str, bytes]]:
    """Return kind and content of each PEM block."""
    found = []
    for match in _PEM.finditer(text):
        try:
            found.append((match[1], base64.b64decode(_BLANK.sub("", match[2]), validate=True)))
        except binascii.Error:
            raise ConfigurationError(f"{source} holds a {match[1].lower()} that is damaged") from None
    return found


def _pem(kind: str, der: bytes) -> str:
    return f"-----BEGIN {kind}-----\n{base64.b64encode(der).decode()}\n-----END {kind}-----\n"
