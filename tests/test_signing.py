"""Signatures are those of openssl, and whoever trusts keys uses nothing that they have not signed."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service.artifact import MANIFEST, MODEL, SIGNATURE, Artifact, Provenance, read_artifact
from service.cli import run
from service.errors import ConfigurationError, UntrustedArtifactError
from service.settings import read_settings
from service.signing import PrivateKey, read_key_files, read_public_keys, sign_artifact, signer_of
from service.store import Store
from service.trust import Trust, manifest_digest, read_signed, read_trusted
from tests.conftest import clean_environment, do_without, start_server
from tests.serving.conftest import run_serve

RFC_8032_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_8032_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
RFC_8032_SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b"
)
"""Of the empty message. Source: RFC 8032, section 7.1, test 1."""
PROVENANCE = Provenance(python="3.11", libraries={}, git_revision=None, data_digest="0" * 64)


@pytest.fixture(name="key", scope="module")
def _key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(name="other", scope="module")
def _other() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(name="key_path", scope="module")
def _key_path(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key.pem"
    path.write_text(key.pem)
    return path


@pytest.fixture(name="signed")
def _signed(tmp_path: Path, store_path: Path, key: PrivateKey) -> Path:
    """Return a signed archive."""
    path = tmp_path / "signed.tar.gz"
    shutil.copy(Store(store_path).resolve(), path)
    sign_artifact(path, key.sign)
    return path


def unpack(path: Path, folder: Path) -> Path:
    """Return the folder as SageMaker unpacks it."""
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return folder


def openssl(*arguments: str) -> str:
    if shutil.which("openssl") is None:
        do_without("openssl is not installed")
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_signatures_are_those_of_the_standard() -> None:
    key = PrivateKey(RFC_8032_SEED)

    assert key.public.raw == RFC_8032_PUBLIC
    assert key.sign(b"") == RFC_8032_SIGNATURE
    assert key.public.has_signed(b"", RFC_8032_SIGNATURE)
    assert not key.public.has_signed(b"x", RFC_8032_SIGNATURE)
    assert not key.public.has_signed(b"", bytes(64))
    assert "9d61" not in repr(key)


def test_openssl_verifies_what_segserve_signs(tmp_path: Path, signed: Path, key: PrivateKey) -> None:
    folder = unpack(signed, tmp_path / "model")
    (tmp_path / "key.pub").write_text(key.public.pem)

    said = openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", str(tmp_path / "key.pub"), "-rawin"),
        *("-in", str(folder / MANIFEST), "-sigfile", str(folder / SIGNATURE)),
    )

    assert "Signature Verified Successfully" in said


def test_segserve_verifies_what_openssl_signs(tmp_path: Path, store_path: Path) -> None:
    private, public, signature = (str(tmp_path / name) for name in ("a.pem", "a.pub", "a.sig"))
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    archive = tmp_path / "model.tar.gz"
    shutil.copy(Store(store_path).resolve(), archive)
    folder = unpack(archive, tmp_path / "model")
    openssl("pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", str(folder / MANIFEST), "-out", signature)

    assert run(["models", "sign", str(archive), "--signature", signature]) == 0
    assert run(["models", "verify", str(archive), "--keys", public]) == 0
    assert PrivateKey.read(Path(private)).public == read_key_files([Path(public)])[0]
    shutil.copy(signature, folder / SIGNATURE)
    assert run(["models", "verify", str(folder), "--keys", public]) == 0


def test_archive_and_unpacked_folder_verify_alike(tmp_path: Path, signed: Path, key: PrivateKey) -> None:
    folder = unpack(signed, tmp_path / "model")

    assert signer_of(read_artifact(signed), [key.public]) == key.public
    assert signer_of(read_artifact(folder), [key.public]) == key.public


def test_signing_changes_nothing_but_the_signature(
    tmp_path: Path, signed: Path, artifact: Artifact, key: PrivateKey, other: PrivateKey
) -> None:
    once = signed.read_bytes()
    found = read_artifact(signed)

    assert (found.files, found.sealed) == (artifact.files, artifact.sealed)
    sign_artifact(signed, other.sign)
    assert signer_of(read_artifact(signed), [other.public]) == other.public
    with pytest.raises(UntrustedArtifactError):
        signer_of(read_artifact(signed), [key.public])
    sign_artifact(signed, key.sign)
    assert signed.read_bytes() == once
    assert [path.name for path in tmp_path.iterdir()] == [signed.name]


def test_old_artifacts_go_on_working_without_keys(store_path: Path) -> None:
    path = Store(store_path).resolve()

    assert read_trusted(path, read_settings()).signature is None


def test_a_rotated_key_is_accepted_beside_the_old_one(
    tmp_path: Path, signed: Path, key: PrivateKey, other: PrivateKey
) -> None:
    both = tmp_path / "both.pub"
    both.write_text(other.public.pem + key.public.pem)
    apart = [tmp_path / "a.pub", tmp_path / "b.pub"]
    for path, one in zip(apart, (key, other), strict=True):
        path.write_text(one.public.pem)

    for wish in (str(both), f"{apart[1]}, {apart[0]}", other.public.pem + key.public.pem):
        assert read_trusted(signed, read_settings(trusted_keys=wish)).signature is not None
    with pytest.raises(UntrustedArtifactError, match=other.public.fingerprint[:12]):
        read_trusted(signed, read_settings(trusted_keys=str(apart[1])))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", " ", "\\n", ""])
def test_keys_survive_what_environments_do_to_line_ends(key: PrivateKey, line_end: str) -> None:
    text = key.public.pem.replace("\n", line_end)

    assert Trust.of(read_settings(trusted_keys=text)).keys == (key.public,)


def rsa(folder: Path) -> str:
    openssl("genrsa", "-out", str(folder / "rsa.pem"), "1024")
    return openssl("pkey", "-in", str(folder / "rsa.pem"), "-pubout")


BAD_KEYS: dict[str, tuple[Callable[[Path, PrivateKey], str], str]] = {
    "a private key": (lambda _, key: key.pem, "holds a private key; to verify, give only the public one"),
    "another kind of key": (lambda folder, _: rsa(folder), "not of the kind Ed25519"),
    "a damaged key": (lambda _, key: key.public.pem.replace("MCow", "M*ow"), "damaged"),
    "a short key": (
        lambda _, key: key.public.pem.replace(key.public.pem.split("\n")[1], "MCowBQYDK2VwAyEA"),
        "not of the kind Ed25519",
    ),
    "no file": (lambda folder, _: str(folder / "none.pub"), "cannot be read"),
    "a file without a key": (lambda _folder, _key: __file__, "holds no public key"),
    "commas": (lambda _folder, _key: " , ", "names no key"),
    "half a key": (lambda _, key: key.public.pem[:60], "holds no public key"),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_keys_that_are_none_are_refused_and_never_trust_all(
    tmp_path: Path, key: PrivateKey, name: str
) -> None:
    make, message = BAD_KEYS[name]

    with pytest.raises(ConfigurationError, match=message) as caught:
        Trust.of(read_settings(trusted_keys=make(tmp_path, key)))
    assert key.pem.split("\n")[1] not in str(caught.value)


def test_a_private_key_with_a_passphrase_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "locked.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:abcd1234", "-out", str(path))

    with pytest.raises(ConfigurationError, match="sign with openssl"):
        PrivateKey.read(path)


def test_training_signs(tmp_path: Path, sample_path: Path, key: PrivateKey, key_path: Path) -> None:
    command = [sys.executable, "-m", "service", "train"]
    options = ["--k", "3", "--store", str(tmp_path / "models"), "--sign-key", str(key_path)]
    subprocess.run([*command, str(sample_path), *options], check=True, env=clean_environment())
    job = tmp_path / "ml" / "input" / "data" / "train"
    job.mkdir(parents=True)
    shutil.copy(sample_path, job)
    variables = {"SERVICE_PREFIX": str(tmp_path / "ml"), "SERVICE_SIGN_KEY": str(key_path)}
    subprocess.run(command, check=True, env=clean_environment(**variables))

    for path in (Store(tmp_path / "models").resolve(), tmp_path / "ml" / "model"):
        assert signer_of(read_artifact(path), [key.public]) == key.public


@pytest.fixture(name="prefix")
def _prefix(tmp_path: Path, signed: Path) -> Path:
    """Return SageMaker's tree with a signed model."""
    unpack(signed, tmp_path / "ml" / "model")
    return tmp_path / "ml"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_with_keys_serves_what_they_signed(
    tmp_path: Path, prefix: Path, key: PrivateKey, workers: str
) -> None:
    server = start_server(
        tmp_path,
        *("--workers", workers),
        SERVICE_PREFIX=str(prefix),
        SERVICE_TRUSTED_KEYS=key.public.pem.replace("\n", " "),
    )

    for _ in range(8):
        assert httpx.post(f"{server.url}/invocations", content=b"[[25, 1250.0]]").status_code == 200
    assert server.stop() == 0


def unsigned(folder: Path) -> None:
    (folder / SIGNATURE).unlink()


def forged(folder: Path) -> None:
    """Leave an intact artifact of somebody else under the old signature."""
    document = json.loads((folder / MANIFEST).read_bytes())
    document["provenance"]["python"] = "9"
    (folder / MANIFEST).write_text(json.dumps(document))


def by_another(folder: Path) -> None:
    (folder / SIGNATURE).write_bytes(PrivateKey.generate().sign((folder / MANIFEST).read_bytes()))


def zeroed(folder: Path) -> None:
    (folder / SIGNATURE).write_bytes(bytes(64))


BREACHES: dict[Callable[[Path], None], str] = {
    unsigned: "is not signed",
    forged: "of none of the trusted keys",
    by_another: "of none of the trusted keys",
    zeroed: "of none of the trusted keys",
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_server_with_keys_refuses_what_they_have_not_signed(
    prefix: Path, key: PrivateKey, breach: Callable[[Path], None]
) -> None:
    breach(prefix / "model")
    read_artifact(prefix / "model")  # which is whole

    done = run_serve("--port", "0", SERVICE_PREFIX=str(prefix), SERVICE_TRUSTED_KEYS=key.public.pem)

    assert done.returncode == 3
    assert BREACHES[breach] in done.stderr
    assert key.public.fingerprint[:12] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_whose_keys_cannot_be_read_does_not_start(prefix: Path, tmp_path: Path) -> None:
    for multi_model in ("true", "false"):
        done = run_serve(
            *("--port", "0"),
            SERVICE_PREFIX=str(prefix),
            SERVICE_TRUSTED_KEYS=str(tmp_path / "none.pub"),
            SAGEMAKER_MULTI_MODEL=multi_model,
        )

        assert done.returncode == 2
        assert "none.pub cannot be read" in done.stderr


def test_an_older_model_is_refused_where_a_newer_one_is_pinned(
    tmp_path: Path, store_path: Path, key: PrivateKey, prefix: Path
) -> None:
    """Both are signed: only the digest tells which one is meant."""
    store = Store(tmp_path / "models")
    newer = store.add(read_artifact(Store(store_path).resolve()).files, provenance=PROVENANCE, sign=key.sign)
    wanted = read_artifact(store.resolve(newer))
    settings = {"SERVICE_TRUSTED_KEYS": key.public.pem, "SERVICE_MODEL_DIGEST": manifest_digest(wanted)}
    done = run_serve("--port", "0", SERVICE_PREFIX=str(prefix), **settings)

    assert done.returncode == 3
    assert "is not the one that SERVICE_MODEL_DIGEST pins" in done.stderr
    pinned = read_settings(model_digest=manifest_digest(wanted))
    assert read_trusted(store.resolve(newer), pinned) == wanted


def test_a_pin_is_the_manifests_or_the_models_digest_or_several(signed: Path) -> None:
    artifact = read_artifact(signed)
    model = artifact.manifest.files[MODEL].sha256

    for wish in (model, f"sha256:{model.upper()}".replace("SHA256", "sha256"), f"{'0' * 64}, {model}"):
        assert read_trusted(signed, read_settings(model_digest=wish.lower())) == artifact
    with pytest.raises(UntrustedArtifactError):
        read_trusted(signed, read_settings(model_digest="0" * 64))
    assert read_signed(signed, read_settings(model_digest="0" * 64)) == artifact
    for wish in ("latest", model[:63], f"{model},", ","):
        with pytest.raises(ConfigurationError, match="64 hexadecimal digits"):
            Trust.of(read_settings(model_digest=wish))


def test_a_multi_model_server_loads_only_what_is_signed(
    tmp_path: Path, signed: Path, store_path: Path, key: PrivateKey
) -> None:
    (tmp_path / "key.pub").write_text(key.public.pem)
    server = start_server(
        tmp_path,
        *("--workers", "2"),
        SAGEMAKER_MULTI_MODEL="true",
        SERVICE_PREFIX=str(tmp_path / "none"),
        SERVICE_TRUSTED_KEYS=str(tmp_path / "key.pub"),
    )
    (tmp_path / "key.pub").unlink()  # read once, at start
    unsigned_path = Store(store_path).resolve()
    with httpx.Client(base_url=server.url, headers={"Connection": "close"}) as client:
        refused = client.post("/models", json={"model_name": "a", "url": str(unsigned_path)})
        loaded = client.post("/models", json={"model_name": "a", "url": str(signed)})
        answers = [client.post("/models/a/invoke", content=b"[[25, 1250.0]]").status_code for _ in range(8)]

    assert refused.status_code == 400
    assert "is not signed" in refused.json()["error"]["message"]
    assert loaded.status_code == 200
    assert set(answers) == {200}
    assert server.stop() == 0


@pytest.mark.parametrize(
    "command",
    [
        ("score", "CUSTOMERS", "-o", "out.csv", "--model", "MODEL"),
        ("drift", "CUSTOMERS", "MODEL", "--fail-on", "never"),
        ("report", "MODEL", "-o", "report.html"),
        ("models", "compare", "MODEL", "MODEL"),
        ("train", "CUSTOMERS", "--k", "3", "--store", "models", "--previous", "MODEL"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_commands_use_only_what_is_signed(
    tmp_path: Path,
    signed: Path,
    store_path: Path,
    sample_path: Path,
    key: PrivateKey,
    command: tuple[str, ...],
) -> None:
    codes = {}
    for name, path in (("signed", signed), ("unsigned", Store(store_path).resolve())):
        places = {"CUSTOMERS": str(sample_path), "MODEL": str(path)}
        done = subprocess.run(
            [sys.executable, "-m", "service", *(places.get(word, word) for word in command)],
            env=clean_environment(SERVICE_TRUSTED_KEYS=key.public.pem),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        codes[name] = done.returncode
        assert "Traceback" not in done.stderr
        assert name == "signed" or "is not signed" in done.stderr

    assert codes == {"signed": 0, "unsigned": 3}


def test_a_key_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"

    assert run(["models", "keygen", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key_files([tmp_path / "signing.pem.pub"]) == (PrivateKey.read(path).public,)
    content = path.read_bytes()
    assert run(["models", "keygen", str(path)]) == 2
    assert path.read_bytes() == content


def test_verify_says_what_is_wrong(
    tmp_path: Path, signed: Path, store_path: Path, other: PrivateKey, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.pub").write_text(other.public.pem)
    keys = ["--keys", str(tmp_path / "other.pub")]

    assert run(["models", "verify", str(signed), *keys]) == 3
    assert run(["models", "verify", str(Store(store_path).resolve()), *keys]) == 3
    assert run(["models", "verify", str(signed)]) == 2
    assert run(["models", "sign", str(signed)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "none of the trusted keys" in errors[0]
    assert "is not signed" in errors[1]
    assert "--keys FILE" in errors[2]
    assert "--key FILE" in errors[3]


def test_public_keys_do_not_change_on_the_way(key: PrivateKey, other: PrivateKey) -> None:
    trust = Trust((key.public, other.public))

    assert trust.pem is not None
    assert read_public_keys(trust.pem, source="test") == trust.keys
    assert Trust().pem is None


def test_libsodium_is_loaded_only_where_keys_are_trusted(store_path: Path, key: PrivateKey) -> None:
    code = (
        "import sys; from pathlib import Path; from service.serving.loading import load_artifact\n"
        "from service.settings import read_settings\n"
        "try: load_artifact(read_settings(store=sys.argv[1]))\n"
        "except Exception as exc: print(type(exc).__name__)\n"
        "print('nacl' in sys.modules, 'cryptography' in sys.modules)"
    )
    found = []
    for variables in ({}, {"SERVICE_TRUSTED_KEYS": key.public.pem}):
        done = subprocess.run(
            [sys.executable, "-c", code, str(store_path)],
            env=clean_environment(**variables),
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.split())

    assert found == [["False", "False"], ["UntrustedArtifactError", "True", "False"]]
