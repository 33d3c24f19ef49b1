"""Use the compiled kernel where it is installed: plain payloads in one pass, without the interpreter's lock.

What the kernel does not take, it leaves to `codec`; what it takes, it answers with the same bytes
(tests/kernel). So nobody can tell from an answer which of the two gave it.
"""

import logging
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

from service.compiled import load_kernel, refuse_without
from service.errors import InvalidPayloadError
from service.model import SegmentModel
from service.serving.codec import BOM, known_reader
from service.serving.ledger import Ledger
from service.serving.media import Media, Plan, Reader
from service.serving.records import csv_header, npy_layout
from service.serving.tally import Tally
from service.settings import KernelUse
from service.transform import Transform

Edges = tuple[Sequence[float], Sequence[float]]
"""Between the bins of Age and of Spending_Power, ascending."""

_logger = logging.getLogger(__name__)


class Kernel:
    """Answer plain payloads with one model's labels."""

    def __init__(self, extension: Any, model: SegmentModel, *, edges: Edges | None = None) -> None:
        """Hand the model's numbers over to the extension, and the edges of what is counted of features."""
        ages, powers = map(tuple, edges) if edges else (None, None)
        self.labeller = extension.Labeller(
            model.mean,
            model.scale,
            model.transform is Transform.LOG1P,
            tuple(tuple(centroid) for centroid in model.centroids),
            model.ids,
            ages,
            powers,
        )
        """What the ledger answers with."""
        self._answer = self.labeller.answer
        self._kinds: dict[str, int] = extension.KINDS
        self._columns: dict[str, int] = extension.COLUMNS
        self._read_table: int = extension.READ_TABLE
        self._readers, self._writers = _name_forms(extension)
        records = model.golden.records
        labels = [model.ids[model.partition.assign_one(*record)] for record in records]
        self._golden = array("d", chain.from_iterable(records)).tobytes()
        self._expected = str(labels).encode()

    def answer(self, body: bytes, plan: Plan) -> tuple[bytes, Tally] | None:
        """Return a payload's labels as the plan wants them, and their counts; None unless it is plain."""
        body = body.removeprefix(BOM)
        form = self._find_form(body, known_reader(plan.reader, body))
        if form is None:
            return None
        reader, start, detail = form
        found = self._answer(body, reader, self._writers[plan.media], start, detail)
        if found is None:
            return None
        text, records, segments, *bins = found
        return text, Tally(records, segments=segments, bins=bins)

    def _find_form(self, body: bytes, reader: Reader) -> tuple[int, int, int | bytes | None] | None:
        """Return how records are read, where they begin and what they consist of; None for Python's."""
        try:
            if reader is Reader.NPY:
                _, is_fortran, name, start = npy_layout(body)
                kind = None if is_fortran else self._kinds.get(name)
                return None if kind is None else (self._readers[reader], start, kind)
            if reader is Reader.CSV and not body[:1].isdigit() and (header := csv_header(body)):
                names, start = header
                return self._read_table, start, bytes(self._columns[name] for name in names)
        except InvalidPayloadError:
            return None
        return self._readers[reader], 0, None

    def agrees(self) -> bool:
        """Tell whether the model's golden records are given the labels that the model gives them itself."""
        if not self._golden:
            return True
        kind, writer = self._kinds["<f8"], self._writers[Media.JSON]
        found = self._answer(self._golden, self._readers[Reader.NPY], writer, 0, kind)
        return found is not None and found[0] == self._expected


def make_kernel(model: SegmentModel, use: KernelUse, *, edges: Edges | None = None) -> Kernel | None:
    """Return a kernel for a model, None where Python is to do without.

    Args:
        model: What it labels with.
        use: Whether it may, or must, be used.
        edges: Of the bins in which features are counted; None to count none.

    Raises:
        ConfigurationError: It must be used, and cannot be.
    """
    extension, _ = load_kernel(use)
    if extension is None:
        return None
    kernel = Kernel(extension, model, edges=edges)
    if kernel.agrees():
        return kernel
    problem = "it labels the model's golden records otherwise than the model does"
    _logger.error("Compiled kernel not used: %s", problem)
    refuse_without(use, problem)
    return None


def make_ledger(use: KernelUse) -> Ledger | None:
    """Return what answers plain requests whole, head and all, None where Python is to do without.

    Raises:
        ConfigurationError: It must be used, and cannot be.
    """
    extension, _ = load_kernel(use)
    if extension is None:
        return None
    readers, writers = _name_forms(extension)
    readers = {**readers, Reader.SNIFF: readers[Reader.JSON]}
    del readers[Reader.NPY]
    return Ledger(extension, readers=readers, writers=writers)


def _name_forms(extension: Any) -> tuple[dict[Reader, int], dict[Media, int]]:
    """Return what the extension calls the forms of payloads and answers."""
    readers = {
        Reader.JSON: extension.READ_JSON,
        Reader.JSON_LINES: extension.READ_JSON_LINES,
        Reader.CSV: extension.READ_CSV,
        Reader.NPY: extension.READ_ARRAY,
    }
    writers = {
        Media.JSON: extension.WRITE_JSON,
        Media.JSON_LINES: extension.WRITE_LINES,
        Media.CSV: extension.WRITE_LINES,
        Media.NPY: extension.WRITE_NPY,
    }
    return readers, writers


def describe_kernel(use: KernelUse) -> str:
    """Tell in a few words whether the compiled kernel is there to be used, and why not.

    Raises:
        ConfigurationError: It must be used, and cannot be.
    """
    extension, problem = load_kernel(use)
    if extension is not None:
        return "on"
    return "off" if use is KernelUse.OFF else f"off ({problem})"
