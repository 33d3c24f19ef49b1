"""Sign model versions and verify their signatures: `segserve models keygen`, `sign` and `verify`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import JsonOption, StoreOption, VersionArgument
from service.errors import ConfigurationError


def make_key(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Private key to write.")] = Path("signing.pem"),
) -> None:
    """Make a pair of Ed25519 keys: FILE signs and stays secret, FILE.pub is for whoever verifies."""
    from service.signing import PrivateKey

    key = PrivateKey.generate()
    public = key.public
    public_path = path.with_name(f"{path.name}.pub")
    for target, content, mode in ((path, key.pem, 0o600), (public_path, public.pem, 0o644)):
        try:
            # Never over a key that is there: what it has signed could not be signed again.
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(content)
        except OSError as exc:
            raise ConfigurationError(f"{target} cannot be written: {exc.strerror or exc}") from exc
    typer.echo(f"Private key: {path} (keep it secret)")
    typer.echo(f"Public key:  {public_path} ({public.fingerprint})")


def sign_model(
    version: VersionArgument = None,
    *,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Private key. Default: SERVICE_SIGN_KEY.", show_default=False),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Signature of manifest.json that was made elsewhere, instead of a key: 64 bytes.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a version; a signature that it has is replaced."""
    from service.commands.output import print_json
    from service.settings import read_settings
    from service.signing import PrivateKey, read_signature, sign_artifact
    from service.store import find_artifact

    settings = read_settings(store=store, sign_key=key)
    if key is not None and signature is not None:
        raise ConfigurationError("--key and --signature exclude each other: give one of them")
    path = find_artifact(version, store=Path(settings.store))
    if signature is not None:
        made, fingerprint = read_signature(signature), None
        artifact = sign_artifact(path, lambda _: made)
    elif settings.sign_key is not None:
        private = PrivateKey.read(settings.sign_key)
        fingerprint = private.public.fingerprint
        artifact = sign_artifact(path, private.sign)
    else:
        raise ConfigurationError("models sign needs a private key: --key FILE, which 'models keygen' makes")
    number = artifact.manifest.model_version
    if as_json:
        print_json({"version": number, "path": str(path), "key": fingerprint})
        return
    typer.echo(f"{number} is signed{f' by {fingerprint}' if fingerprint else ''}: {path}")


def verify_model(
    version: VersionArgument = None,
    *,
    keys: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Public key, or several in one file. Repeatable. Default: SERVICE_TRUSTED_KEYS.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify that a version is whole and signed by one of these keys; exit with 3 where it is not."""
    from service.artifact import read_artifact
    from service.commands.output import print_json
    from service.settings import read_settings
    from service.signing import read_key_files, signer_of
    from service.store import find_artifact
    from service.trust import Trust, manifest_digest

    settings = read_settings(store=store)
    trusted = read_key_files(keys) if keys else Trust.of(settings).keys
    if not trusted:
        raise ConfigurationError("models verify needs public keys: --keys FILE, or SERVICE_TRUSTED_KEYS")
    artifact = read_artifact(find_artifact(version, store=Path(settings.store)))
    signer = signer_of(artifact, trusted)
    number = artifact.manifest.model_version
    if as_json:
        document = {
            "version": number,
            "key": signer.fingerprint,
            "manifest_digest": manifest_digest(artifact),
        }
        print_json(document)
        return
    typer.echo(f"{number} is whole, and signed by {signer.fingerprint}")
