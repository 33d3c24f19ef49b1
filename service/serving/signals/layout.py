"""Say which cell of a worker's row counts what.

The same for every model, so that a worker that starts later finds its predecessor's counts where they were.
"""

from itertools import pairwise
from typing import Final

from service.contract import EXECUTION_PARAMETERS_PATH, INVOCATIONS_PATH, PING_PATH
from service.errors import RejectReason
from service.model import MAX_CLUSTERS

OTHER: Final = "other"
"""Stands for all routes, or statuses, that have no cells of their own: labels must be few."""

ROUTES: Final = (
    INVOCATIONS_PATH,
    PING_PATH,
    EXECUTION_PARAMETERS_PATH,
    "/metrics",
    "/live",
    "/model",
    "/models",
    "/endpoints",
    "/docs",
    "/openapi.json",
    "/",
    OTHER,
)
"""By the first part of the path."""

STATUSES: Final = (
    *(
        "200",
        "202",
        "304",
        "400",
        "404",
        "405",
        "406",
        "409",
        "413",
        "415",
        "424",
        "429",
        "500",
        "503",
        "504",
    ),
    *("507", "530", OTHER),
)
ERROR_CODES: Final = (
    "InvalidPayload",
    "InvalidRecord",
    "UnsupportedContentType",
    "NotAcceptable",
    "PayloadTooLarge",
    "ModelNotReady",
    "ModelNotLoaded",
    "ModelAlreadyLoaded",
    "InvalidModel",
    "InsufficientMemory",
    "Overloaded",
    "InvocationTimeout",
    OTHER,
)
REASONS: Final = tuple(RejectReason)

DURATIONS_S: Final = (
    *(25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the duration buckets; SageMaker waits 60 s (C26)."""

SIZES_BYTES: Final = tuple(4**power for power in range(2, 14))
"""Upper bounds of the payload size buckets: 16 bytes to 64 MiB."""

MAX_BINS: Final = 64
"""Of one feature's baseline."""

_SIZES: Final = (
    len(ROUTES) * len(STATUSES),
    len(ROUTES) * (len(DURATIONS_S) + 1),
    len(ROUTES),
    len(SIZES_BYTES) + 1,
    1,
    1,
    len(ERROR_CODES),
    len(REASONS),
    2 * MAX_BINS,
    MAX_CLUSTERS,
)
_BOUNDS: Final = tuple(sum(_SIZES[:index]) for index in range(len(_SIZES) + 1))
(
    REQUESTS,
    DURATIONS,
    DURATION_SUMS,
    PAYLOADS,
    PAYLOAD_SUM,
    ANSWER_SUM,
    ERRORS,
    REJECTED,
    FEATURES,
    SEGMENTS,
) = (slice(start, end) for start, end in pairwise(_BOUNDS))
"""The cells of each kind. DURATION_SUMS are floats, all others integers; SEGMENTS are mostly unused."""

N_CELLS: Final = _BOUNDS[-1]


def route_of(path: str) -> str:
    """Return the route that a path counts for."""
    start = f"/{path.split('/', 2)[1]}" if path.startswith("/") else OTHER
    return start if start in _ROUTE_NAMES else OTHER


def request_cell(route: str, status: int) -> int:
    """Return the cell that counts requests to a route which were answered with a status."""
    name = str(status)
    position = STATUSES.index(name if name in STATUSES else OTHER)
    return REQUESTS.start + ROUTES.index(route) * len(STATUSES) + position


def duration_cells(route: str) -> slice:
    """Return the cells of a route's duration buckets."""
    start = DURATIONS.start + ROUTES.index(route) * (len(DURATIONS_S) + 1)
    return slice(start, start + len(DURATIONS_S) + 1)


_ROUTE_NAMES: Final = frozenset(ROUTES)
