"""Find out the encodings of files in a thread, while the modules are imported that read them."""

from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from service.errors import ServiceError
from service.training.dialect import find_encoding, is_parquet


class EncodingsAhead:
    """Decode files one after the other, and remember what was found."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Begin with those that are regular files; what is wrong with others is said by who reads them."""
        self._found: dict[Path, Future[tuple[str, int]]] = {
            path: Future() for path in paths if _is_text(path)
        }
        # Nobody who has found out what is wrong with an option waits for the end of a file.
        Thread(target=self._look, name="encodings", daemon=True).start()

    def _look(self) -> None:
        for path, found in self._found.items():
            try:
                found.set_result(find_encoding(path))
            except BaseException as exc:  # noqa: BLE001  # who asks for it waits until it is there
                found.set_exception(exc)

    def find(self, path: Path) -> tuple[str, int]:
        """Return the codec of a file and the number of its quotes, as `find_encoding` does.

        Raises:
            DatasetError: It is not text.
            OSError: It cannot be read.
        """
        found = self._found.get(path)
        return find_encoding(path) if found is None else found.result()


def _is_text(path: Path) -> bool:
    try:
        return path.is_file() and not is_parquet(path)
    except (ServiceError, OSError, ValueError):
        return False
