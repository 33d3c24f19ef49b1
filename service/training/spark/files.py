"""Find customer files where Spark sees them, and what each of them is, from its first bytes."""

import glob
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from service.errors import ConfigurationError, DatasetError
from service.training.dialect import find_encoding, is_parquet, sniff

_SAMPLE_BYTES: Final = 1 << 20
"""More than the delimiter is sniffed from, in any encoding."""

_HIDDEN: Final = ("_", ".")
"""Spark passes over files of these beginnings."""

_UNKNOWN: Final = ("UnsupportedFileSystemException", "ClassNotFoundException")
"""What Hadoop says of a scheme that it has nothing for."""

_GLOB: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Layout:
    """Say how files are written; those of one layout are read as one."""

    format: Literal["csv", "parquet"]
    columns: tuple[str, ...] = ()
    """In their own spelling; of Parquet files Spark says them."""
    delimiter: str | None = None
    encoding: str | None = None
    header_records: int = 0


@dataclass(frozen=True, slots=True)
class SparkFile:
    """Hold one file that Spark is to read."""

    name: str
    """As the user gave it."""
    path: Any
    """Hadoop's Path."""
    number: int
    """Among all files, from 0."""
    layout: Layout

    @property
    def key(self) -> str:
        """What `input_file_name` says of it, in the form of `file_key`."""
        return file_key(str(self.path.toUri().toString()))

    @property
    def pattern(self) -> str:
        """Its path, where Spark expects patterns."""
        return "".join(f"\\{sign}" if sign in "*?[]{}\\" else sign for sign in str(self.path.toString()))


def file_key(uri: str) -> str:
    """Return one spelling of a file's address, which Spark writes in several."""
    scheme, colon, rest = urllib.parse.unquote(uri).partition(":")
    if not colon or "/" in scheme:
        return uri
    return f"{scheme}:{'//' if scheme != 'file' else '/'}{rest.lstrip('/')}"


def open_files(spark: Any, names: Sequence[str]) -> list[SparkFile]:
    """Return the files of paths, folders and patterns, here or wherever Spark's Hadoop reaches (s3://).

    Raises:
        DatasetError: There is no such file, or it is neither Parquet nor CSV.
        ConfigurationError: Spark knows no such scheme.
    """
    if not names:
        raise ConfigurationError("No customer files were given; at least one CSV or Parquet file is needed")
    found = [pair for given in names for pair in _find(spark, given)]
    files = [_open(spark, name, path, number) for number, (name, path) in enumerate(found)]
    keys = [file.key for file in files]
    twice = next((file.name for file in files if keys.count(file.key) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"{twice} is given twice; name each file once")
    return files


def reopen(spark: Any, file: SparkFile, *, encoding: str) -> SparkFile:
    """Return the file as it is once all of it has been seen to be of another encoding."""
    layout = _read_layout(file.name, _head(_filesystem(spark, file.path), file.path), encoding=encoding)
    return replace(file, layout=layout)


def list_folder(spark: Any, target: str) -> list[tuple[str, str]]:
    """Return the name and the key of each file of a folder that may not be there.

    Raises:
        ConfigurationError: It is a file.
    """
    path = _hadoop_path(spark, _address(target))
    filesystem = _filesystem(spark, path)
    if not filesystem.exists(path):
        return []
    if filesystem.getFileStatus(path).isFile():
        raise ConfigurationError(f"{target} is a file; Spark writes a folder of parts: name another")
    found = [status.getPath() for status in filesystem.listStatus(path)]
    return [(str(one.getName()), file_key(str(one.toUri().toString()))) for one in found]


def _address(name: str) -> str:
    return name if "://" in name else Path(name).resolve().as_uri()


def _find(spark: Any, given: str) -> Iterator[tuple[str, Any]]:
    """Yield the name and the path of each file, in a stable order."""
    is_remote = "://" in given
    local = [given] if is_remote or Path(given).exists() else sorted(glob.glob(given))  # noqa: PTH207  # as a shell does
    found = 0
    for name in local:
        path = _hadoop_path(spark, _address(name))
        filesystem = _filesystem(spark, path)
        statuses = filesystem.globStatus(path) if is_remote else [filesystem.getFileStatus(path)]
        for status in statuses or ():
            for file in _walk(filesystem, status, is_given=not _GLOB & set(given)):
                found += 1
                yield _name(name, status, file, is_remote=is_remote), file.getPath()
    if not found:
        raise DatasetError(f"{given} cannot be read: there is no such file, or no file in it")


def _walk(filesystem: Any, status: Any, *, is_given: bool) -> Iterator[Any]:
    name = str(status.getPath().getName())
    if name.startswith(_HIDDEN) and not status.isDirectory():
        if is_given:
            raise DatasetError(
                f"{status.getPath().toString()} cannot be read: Spark passes over files whose names begin "
                f"with {' or '.join(_HIDDEN)}; rename it"
            )
        return
    if not status.isDirectory():
        yield status
        return
    for one in sorted(filesystem.listStatus(status.getPath()), key=lambda one: str(one.getPath().getName())):
        if not str(one.getPath().getName()).startswith(_HIDDEN):
            yield from _walk(filesystem, one, is_given=False)


def _name(given: str, status: Any, file: Any, *, is_remote: bool) -> str:
    if is_remote:
        return str(file.getPath().toString())
    below = str(file.getPath().toString()).removeprefix(str(status.getPath().toString())).lstrip("/")
    return str(Path(given) / below) if below else str(Path(given))


def _open(spark: Any, name: str, path: Any, number: int) -> SparkFile:
    head = _head(_filesystem(spark, path), path)
    return SparkFile(name, path, number, _read_layout(name, head))


def _read_layout(name: str, head: bytes, *, encoding: str | None = None) -> Layout:
    """Find out what a file is from its first bytes, as for a file of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / Path(name).name
        sample.write_bytes(head)
        try:
            if is_parquet(sample):
                return Layout("parquet")
            found = encoding
            if found is None:
                if len(head) == _SAMPLE_BYTES:  # a character may be cut in two
                    sample.write_bytes(head[: head.rfind(b"\n") + 1] or head)
                found, _ = find_encoding(sample)
            _check_encoding(found, name)
            delimiter, columns, header_records = sniff(sample, encoding=found)
        except DatasetError as exc:
            raise DatasetError(str(exc).replace(str(sample), name)) from None
    return Layout("csv", columns, delimiter, found, header_records)


def _check_encoding(encoding: str, name: str) -> None:
    if encoding == "utf-16":
        raise DatasetError(
            f"{name} is in UTF-16, which Spark cannot divide; save it as UTF-8 or Parquet, "
            "or read it with --engine local"
        )


def _head(filesystem: Any, path: Any) -> bytes:
    stream = filesystem.open(path)
    try:
        return bytes(stream.readNBytes(_SAMPLE_BYTES))
    finally:
        stream.close()


def _hadoop_path(spark: Any, text: str) -> Any:
    jvm = spark.sparkContext._jvm  # noqa: SLF001  # pyspark has no other door to Hadoop's files
    # java.net.URI undoes the escapes of as_uri; an address elsewhere is a pattern as it stands.
    return jvm.org.apache.hadoop.fs.Path(jvm.java.net.URI(text) if text.startswith("file:") else text)


def _filesystem(spark: Any, path: Any) -> Any:
    from py4j.protocol import Py4JJavaError  # noqa: PLC0415  # pyspark is optional

    try:
        return path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())  # noqa: SLF001
    except Py4JJavaError as exc:
        if not any(name in str(exc.java_exception.toString()) for name in _UNKNOWN):
            raise  # it may lack rights
        scheme = str(path.toUri().getScheme())
        version = spark.sparkContext._jvm.org.apache.hadoop.util.VersionInfo.getVersion()  # noqa: SLF001
        advice = (
            "; EMR and SageMaker know s3://, elsewhere name s3a:// and add --spark-conf "
            f"spark.jars.packages=org.apache.hadoop:hadoop-aws:{version}"
        )
        raise ConfigurationError(
            f"{path.toString()} cannot be reached, for this Spark knows no file system of that scheme"
            + (advice if scheme.startswith("s3") else "")
        ) from exc
