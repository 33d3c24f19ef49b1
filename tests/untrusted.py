"""Make model artifacts that somebody has made to do harm; each is whole in the eyes of its own manifest."""

import gzip
import hashlib
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from service.artifact import (
    MANIFEST,
    MODEL,
    PIPELINE,
    SIGNATURE,
    TRAINING,
    Artifact,
    Provenance,
    pack,
    seal,
)
from service.signing import PrivateKey

PROVENANCE = Provenance(python="3", libraries={}, git_revision=None, data_digest="0" * 64)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MIB = 2**20
_BLOCK = tarfile.BLOCKSIZE

Files = Mapping[str, bytes]


class Evil:
    """Touch a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def header(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, raw_size: bytes = b"") -> bytes:
    """Return a member's header, with any size, also one that cannot be."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    if raw_size:
        block[124:136] = raw_size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, kind, size=len(content)) + content + bytes(-len(content) % _BLOCK)


def linked(name: str, kind: bytes, target: str) -> bytes:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = kind, target
    return link.tobuf(tarfile.GNU_FORMAT)


def tar(*parts: bytes, end: bytes = bytes(2 * _BLOCK)) -> bytes:
    return gzip.compress(b"".join((*parts, end)), compresslevel=1, mtime=0)


def pax(**records: str) -> bytes:
    """Return an extended header for the member that follows."""
    lines = b""
    for key, value in records.items():
        line = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(line)
        while length != len(line) + len(str(length)):
            length = len(line) + len(str(length))
        lines += str(length).encode() + line
    return member("pax", lines, tarfile.XHDTYPE)


def sparse_gnu(name: str, size: int) -> bytes:
    """Return a member that is all hole: no byte of it is in the archive."""
    block = bytearray(header(name, tarfile.GNUTYPE_SPARSE))
    block[386:398], block[398:410] = b"%011o\0" % size, b"%011o\0" % 0
    block[483:495] = b"%011o\0" % size
    block[257:265] = b"ustar  \0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def sparse_pax(name: str, size: int) -> bytes:
    records = {"GNU__sparse__major": "0", "GNU__sparse__minor": "1", "GNU__sparse__map": f"{size},0"}
    return pax(**records, GNU__sparse__size=str(size), GNU__sparse__name=name) + header(name)


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "bomb behind the end": lambda: tar(end=bytes(300 * MIB)),
    "bomb in one file": lambda: tar(member("model.json", bytes(65 * MIB))),
    "bomb in many files": lambda: tar(*(member(f"f{n}.json", bytes(50 * MIB)) for n in range(6))),
    "twenty thousand files": lambda: tar(*(header(f"f{n}.json") for n in range(20_000))),
    "sparse files": lambda: tar(*(sparse_gnu(f"f{n}.json", 60 * MIB) for n in range(200))),
    "sparse files by pax": lambda: tar(*(sparse_pax(f"f{n}.json", 60 * MIB) for n in range(200))),
    "contiguous file": lambda: tar(member("model.json", b"{}", tarfile.CONTTYPE)),
    "unknown kind of member": lambda: tar(member("model.json", b"{}", b"Z")),
    "pax header of digits": lambda: tar(member("pax", b"1" * (8 * MIB), tarfile.XHDTYPE), header("a.json")),
    "global pax header of 100 MB": lambda: tar(member("g", bytes(100 * MIB), tarfile.XGLTYPE)),
    "name of 100 MB": lambda: tar(member("n", b"a" * (100 * MIB), tarfile.GNUTYPE_LONGNAME), header("a")),
    "ten thousand names for one file": lambda: tar(
        member("n", b"a.json\0", tarfile.GNUTYPE_LONGNAME) * 10_000, member("a.json", b"")
    ),
    "ten thousand pax headers for one file": lambda: tar(pax(comment="x") * 10_000, member("a.json", b"")),
    "negative size": lambda: tar(header("model.json", raw_size=b"\xff" * 12)),
    "negative size by pax": lambda: tar(pax(size="-1024") + header("model.json")),
    "size of terabytes by pax": lambda: tar(pax(size=str(2**40)) + header("model.json")),
    "parent path by pax": lambda: tar(pax(path="../../etc/cron.d/x") + member("model.json", b"{}")),
    "parent path by long name": lambda: tar(
        member("n", b"../" * 60 + b"x\0", tarfile.GNUTYPE_LONGNAME) + member("model.json", b"{}")
    ),
    "name with control characters": lambda: tar(member("a\x1b[2Jb\n.json", b"{}")),
    "name with a zero": lambda: tar(pax(path="model.json\0.pkl") + member("model.json", b"{}")),
    "size that hides the next member": lambda: tar(
        pax(size="1024") + member("model.json", b"{}"), header("a")
    ),
    "sparse file of version 1": lambda: tar(
        pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize=str(60 * MIB))
        + member("model.json", b"1\n0\n0\n".ljust(_BLOCK, b"\0"))
    ),
    "hard link to a file outside": lambda: tar(linked("model.json", tarfile.LNKTYPE, "/etc/passwd")),
    "link to a file outside": lambda: tar(linked("model.json", tarfile.SYMTYPE, "/etc/passwd")),
    "link's name by a long name": lambda: tar(
        member("n", b"/etc/passwd\0", tarfile.GNUTYPE_LONGLINK) + linked("model.json", tarfile.SYMTYPE, "x")
    ),
    "pickle for an archive": lambda: pickle.dumps({"model": 1}),
    "zip for an archive": lambda: skops.io.dumps({"a": 1}),
}
"""What is no model at all: bytes of model.tar.gz by the name of the attack."""


def skops_schema(**node: Any) -> bytes:
    """Return a skops file with a schema of one's own, which need not come from an object."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps({**node, "protocol": 2, "_skops_version": "0.16.0"}))
    return buffer.getvalue()


def skops_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"[" + b" " * (500 * MIB) + b"]")
    return buffer.getvalue()


def of_os_system() -> bytes:
    steps = [("f", FunctionTransformer(os.system))]
    return bytes(skops.io.dumps(Pipeline(steps)))


def forged(files: Files, /, **changes: bytes) -> bytes:
    """Return a whole artifact with other files: whoever makes one can make its manifest."""
    renamed = {name.replace("__", "."): content for name, content in changes.items()}
    return pack({**files, **renamed}, provenance=PROVENANCE, created=NOON)[1]


def retold(files: Files, /, **changes: Any) -> bytes:
    """Return an artifact with another manifest; a change of None takes a key away."""
    _, sealed = seal(files, provenance=PROVENANCE, created=NOON)
    document = {**json.loads(sealed[MANIFEST]), **changes}
    kept = {key: value for key, value in document.items() if value is not None}
    manifest = json.dumps(kept).encode()
    return tar(*(member(name, content) for name, content in files.items()), member(MANIFEST, manifest))


def beside(files: Files, *more: bytes) -> bytes:
    """Return this artifact as it is, with more behind its files."""
    return tar(*(member(name, content) for name, content in seal_all(files).items()), *more)


def padded(content: bytes, size: int) -> bytes:
    """Return the same JSON with blanks in it."""
    return content[:-2] + b" " * size + content[-2:]


FORGERIES: dict[str, Callable[[Files, Path], bytes]] = {
    "pickle for model.json": lambda files, canary: forged(files, model__json=pickle.dumps(Evil(canary))),
    "pickle for training.json": lambda files, canary: forged(
        files, training__json=pickle.dumps(Evil(canary))
    ),
    "pickle for pipeline.skops": lambda files, canary: forged(
        files, pipeline__skops=pickle.dumps(Evil(canary))
    ),
    "pickle of its own": lambda files, canary: forged(files, model__pkl=pickle.dumps(Evil(canary))),
    "program of its own": lambda files, _: forged(files, inference__py=b"import os"),
    "skops of a function": lambda files, _: forged(files, pipeline__skops=of_os_system()),
    "skops of a process": lambda files, _: forged(
        files,
        pipeline__skops=skops_schema(__class__="Popen", __module__="subprocess", __loader__="ObjectNode"),
    ),
    "skops of an operator": lambda files, _: forged(
        files,
        pipeline__skops=skops_schema(
            __class__="methodcaller", __module__="operator", __loader__="OperatorFuncNode", attrs={}
        ),
    ),
    "skops of a class by another name": lambda files, _: forged(
        files,
        pipeline__skops=skops_schema(__class__="KMeans", __module__="sklearnx", __loader__="ObjectNode"),
    ),
    "skops bomb": lambda files, _: forged(files, pipeline__skops=skops_bomb()),
    "skops without a schema": lambda files, _: forged(files, pipeline__skops=b"PK\x05\x06" + bytes(18)),
    "deep model.json": lambda files, _: forged(files, model__json=b"[" * 500_000),
    "model.json of 60 MB": lambda files, _: forged(files, model__json=padded(files[MODEL], 60 * MIB)),
    "model.json of many centroids": lambda files, _: forged(files, model__json=many_centroids(files[MODEL])),
    "training.json that is no object": lambda files, _: forged(files, training__json=b"[1, 2]"),
    "digest of another file": lambda files, _: retold(
        files,
        files={
            name: {"sha256": hashlib.sha256(b"").hexdigest(), "size": len(content)}
            for name, content in files.items()
        },
    ),
    "sizes that are not so": lambda files, _: retold(
        files,
        files={
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size": 1}
            for name, content in files.items()
        },
    ),
    "format of before": lambda files, _: retold(files, format_version=0),
    "format of later": lambda files, _: retold(files, format_version=2),
    "format as text": lambda files, _: retold(files, format_version="1"),
    "no format": lambda files, _: retold(files, format_version=None),
    "manifest with something more": lambda files, _: retold(files, run="rm -rf /"),
    "manifest that names a path": lambda files, _: retold(
        files, files={"../model.json": {"sha256": "0" * 64, "size": 1}}
    ),
    "version that is a path": lambda files, _: retold(files, model_version="../../etc/passwd"),
    "manifest of 60 MB": lambda files, _: retold(files, created="2026" + " " * (60 * MIB)),
    "file twice": lambda files, _: beside(files, member(MODEL, b"{}")),
    "file twice, by another spelling": lambda files, _: beside(files, member(f"./{MODEL}", b"{}")),
    "file twice, by pax": lambda files, _: beside(files, pax(path=MODEL) + member("a.json", b"{}")),
    "file twice, by a long name": lambda files, _: beside(
        files, member("n", f"./{MODEL}\0".encode(), tarfile.GNUTYPE_LONGNAME) + member("a.json", b"{}")
    ),
    "hard link to a file of it": lambda files, _: beside(files, linked("a.json", tarfile.LNKTYPE, MODEL)),
    "hard link in place of a file": lambda files, _: beside(files, linked(MODEL, tarfile.LNKTYPE, TRAINING)),
    "member behind the end": lambda files, _: beside(files, bytes(2 * _BLOCK), member(MODEL, b"{}")),
    "member behind half an end": lambda files, _: beside(files, bytes(_BLOCK), member(MODEL, b"{}")),
    "member far behind the end": lambda files, _: beside(files, bytes(MIB), member(MODEL, b"{}")),
    "archive behind the archive": lambda files, _: beside(files) + tar(member(MODEL, b"{}")),
    "bytes behind the archive": lambda files, _: beside(files) + b"more",
    "damaged header": lambda files, _: beside(files, b"x" * _BLOCK),
    "manifest by pax at another size": lambda files, _: tar(
        *(member(name, content) for name, content in files.items()),
        pax(size="1") + member(MANIFEST, seal_all(files)[MANIFEST]),
    ),
    "signature of the wrong length": lambda files, _: tar(
        *(member(name, content) for name, content in seal_all(files).items()), member("manifest.sig", b"ok")
    ),
    "signature in the manifest": lambda files, _: forged(files, manifest__sig=bytes(64)),
}
"""What pretends to be this model: bytes of model.tar.gz by the name of the attack."""


def seal_all(files: Files) -> dict[str, bytes]:
    return seal(files, provenance=PROVENANCE, created=NOON)[1]


def signed(files: Files, key: PrivateKey, *, signature: bytes | None = None) -> dict[str, bytes]:
    """Return the files of a signed artifact, or with another signature."""
    sealed = seal_all({name: files[name] for name in (MODEL, TRAINING, PIPELINE)})
    return {**sealed, SIGNATURE: key.sign(sealed[MANIFEST]) if signature is None else signature}


def archived(sealed: Files, *more: bytes) -> bytes:
    return tar(*(member(name, content) for name, content in sealed.items()), *more)


def without_signature(files: Files, key: PrivateKey) -> bytes:
    return archived({name: content for name, content in signed(files, key).items() if name != SIGNATURE})


def of_another_manifest(files: Files, key: PrivateKey) -> bytes:
    """Return an artifact with a true signature, of another artifact."""
    other = signed({**files, TRAINING: b"{}"}, key)
    return archived({**signed(files, key), SIGNATURE: other[SIGNATURE]})


def another_manifest(files: Files, key: PrivateKey) -> bytes:
    """Return an artifact that is whole, under the signature of what it was before."""
    sealed = signed(files, key)
    document = {**json.loads(sealed[MANIFEST]), "created": "2026-11-24T00:00:00+00:00"}
    return archived({**sealed, MANIFEST: json.dumps(document).encode()})


BREACHES: dict[str, tuple[Callable[[Files, PrivateKey], bytes], str]] = {
    "stripped": (without_signature, "is not signed"),
    "of another manifest": (of_another_manifest, "of none of the trusted keys"),
    "another manifest": (another_manifest, "of none of the trusted keys"),
    "by another key": (
        lambda files, _: archived(signed(files, PrivateKey.generate())),
        "of none of the trusted keys",
    ),
    "of zeros": (
        lambda files, key: archived(signed(files, key, signature=bytes(64))),
        "of none of the trusted keys",
    ),
    "empty": (lambda files, key: archived(signed(files, key, signature=b"")), "has 0 bytes"),
    "two in one": (
        lambda files, key: archived(signed(files, key, signature=bytes(64) + signed(files, key)[SIGNATURE])),
        "has 128 bytes",
    ),
    "two files, the good one first": (
        lambda files, key: archived(signed(files, key), member(SIGNATURE, bytes(64))),
        "holds manifest.sig twice",
    ),
    "two files, the good one last": (
        lambda files, key: archived(
            signed(files, key, signature=bytes(64)),
            member(f"./{SIGNATURE}", signed(files, key)[SIGNATURE]),
        ),
        "holds manifest.sig twice",
    ),
    "two manifests": (
        lambda files, key: archived(signed(files, key), member(MANIFEST, b"{}")),
        "holds manifest.json twice",
    ),
    "behind the end": (
        lambda files, key: (
            without_signature(files, key) + tar(member(SIGNATURE, signed(files, key)[SIGNATURE]))
        ),
        "holds something behind its end",
    ),
}
"""What is not signed by a key, though somebody would have it so: the archive, and what is said of it."""


def many_centroids(model: bytes) -> bytes:
    document = json.loads(model)
    document["centroids"] = [[0.0, 0.0]] * 2_000_000
    return json.dumps(document).encode()


def write_attacks(folder: Path, artifact: Artifact) -> dict[str, Path]:
    """Write every attack as FOLDER/N.tar.gz; FOLDER/canary is there once one has run a program."""
    files = {name: artifact.files[name] for name in (MODEL, TRAINING, PIPELINE)}
    made = {name: make() for name, make in ARCHIVES.items()}
    made |= {name: make(files, folder / "canary") for name, make in FORGERIES.items()}
    paths = {}
    for number, (name, content) in enumerate(made.items()):
        paths[name] = folder / f"{number}.tar.gz"
        paths[name].write_bytes(content)
    return paths
