"""Download an object of S3, going on where a connection was lost, and check what has come."""

import base64
import hashlib
import time
from typing import IO, Any, Final

from botocore.exceptions import BotoCoreError

from service.aws.session import Session
from service.errors import AwsError

_ATTEMPTS: Final = 5
"""In a row that bring nothing; botocore repeats each by itself where no answer begins at all."""
_PAUSE_S: Final = 0.2
"""Before the second attempt, and twice as long before each after it."""
_CHUNK_BYTES: Final = 2**20


def download(session: Session, bucket: str, key: str, file: IO[bytes]) -> None:
    """Write an object into an empty file.

    Raises:
        AwsError: S3 refuses, breaks off again and again, or sends something else than it holds.
        OSError: The file cannot be written.
    """
    where = {"Bucket": bucket, "Key": key}
    answer = session.call("s3", "get_object", **where, ChecksumMode="ENABLED")
    size, checksum = int(answer["ContentLength"]), str(answer.get("ChecksumSHA256", ""))
    digest = hashlib.sha256()
    failures = 0
    is_whole = _copy(answer["Body"], file, digest)
    while (done := file.tell()) < size:
        if failures == _ATTEMPTS:
            raise AwsError(
                f"s3://{bucket}/{key} does not get across: {done} of {size} bytes came, and nothing more in "
                f"{_ATTEMPTS} attempts; try again later"
            )
        time.sleep(_PAUSE_S * 2**failures)
        # Only what is still the same object is gone on with.
        answer = session.call("s3", "get_object", **where, Range=f"bytes={done}-", IfMatch=answer["ETag"])
        is_whole = _copy(answer["Body"], file, digest)
        failures = 0 if file.tell() > done else failures + 1
    found = base64.b64encode(digest.digest()).decode()
    # A checksum with a hyphen is made of those of the parts of an upload.
    if not is_whole or (checksum and "-" not in checksum and found != checksum):
        raise AwsError(f"what came of s3://{bucket}/{key} is not what S3 holds: try again")


def _copy(body: Any, file: IO[bytes], digest: Any) -> bool:
    """Write what comes of an answer; tell whether it came to its end, with the right checksum."""
    try:
        for chunk in body.iter_chunks(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
    except BotoCoreError:
        return False
    return True
