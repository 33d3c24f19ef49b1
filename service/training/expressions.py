"""Import narwhals when an expression is first made of it: plain rows are read and summed up without."""

from typing import TYPE_CHECKING

from service.lazy import LazyModule

__all__ = ["nw"]

if TYPE_CHECKING:
    import narwhals as nw
else:
    nw = LazyModule("narwhals")
