"""Decide which model artifacts may be used: signed by a trusted key, and the one that is pinned."""

import hashlib
import re
from pathlib import Path
from typing import Final, Self

import msgspec

from service.artifact import MODEL, Artifact, read_artifact
from service.errors import ConfigurationError, UntrustedArtifactError
from service.settings import Settings
from service.signing import PublicKey, read_key_files, read_public_keys, signer_of

KEYS: Final = "SERVICE_TRUSTED_KEYS"
DIGEST: Final = "SERVICE_MODEL_DIGEST"

_BEGIN: Final = "-----BEGIN "
_SHA256: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class Trust(msgspec.Struct, frozen=True):
    """Hold what an artifact must have to be used; by default nothing."""

    keys: tuple[PublicKey, ...] = ()
    """One of them must have signed it."""
    digests: frozenset[str] = frozenset()
    """One of them must be that of its manifest.json or of its model.json."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read what the settings ask for.

        Raises:
            ConfigurationError: A key or a digest is none.
        """
        return cls(_keys(settings.trusted_keys), _digests(settings.model_digest))

    @property
    def pem(self) -> str | None:
        """Return the keys as one text, for processes that may not read the files."""
        return "".join(key.pem for key in self.keys) or None

    def check(self, artifact: Artifact) -> None:
        """Raise UntrustedArtifactError unless the artifact is signed, and the one that was pinned."""
        if self.keys:
            signer_of(artifact, self.keys)
        found = (manifest_digest(artifact), artifact.manifest.files[MODEL].sha256)
        if self.digests and not self.digests.intersection(found):
            raise UntrustedArtifactError(
                f"the model {artifact.manifest.model_version} is not the one that {DIGEST} pins: its "
                f"manifest.json has the digest {found[0][:12]}..., its model.json {found[1][:12]}..."
            )


def read_trusted(path: Path, settings: Settings) -> Artifact:
    """Read an artifact to work with: verified, signed and the pinned one, as far as the settings ask for it.

    Raises:
        ModelNotFoundError: There is nothing at `path`.
        ArtifactError: It cannot be used, or is not trusted.
        ConfigurationError: A key or a digest in the settings is none.
    """
    trust = Trust.of(settings)
    artifact = read_artifact(path)
    trust.check(artifact)
    return artifact


def read_signed(path: Path, settings: Settings) -> Artifact:
    """Read an artifact to compare with or to copy: as `read_trusted`, but not only the pinned one."""
    trust = Trust(keys=Trust.of(settings).keys)
    artifact = read_artifact(path)
    trust.check(artifact)
    return artifact


def manifest_digest(artifact: Artifact) -> str:
    """Return the sha256 that stands for every byte of an artifact but its signature."""
    return hashlib.sha256(artifact.sealed).hexdigest()


def _keys(wish: str | None) -> tuple[PublicKey, ...]:
    if wish is None:
        return ()
    if _BEGIN in wish:
        return read_public_keys(wish, source=KEYS)
    paths = [Path(name.strip()) for name in wish.split(",") if name.strip()]
    if not paths:
        raise ConfigurationError(f"{KEYS} names no key: it should be PEM text, or files with commas between")
    return read_key_files(paths)


def _digests(wish: str | None) -> frozenset[str]:
    if wish is None:
        return frozenset()
    found = [_SHA256.fullmatch(part.strip().lower()) for part in wish.split(",")]
    if not all(found):
        raise ConfigurationError(
            f"{DIGEST}={wish[:80]!r} is not accepted: it should be a sha256 of 64 hexadecimal digits, as "
            "'segserve models show' prints, or several with commas between"
        )
    return frozenset(match[1] for match in found if match)
