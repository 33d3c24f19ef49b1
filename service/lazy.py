"""Import numpy and simdjson when they are first used: a server answers /ping, and few records, without them.

Import `np` from here where only some calls need it. Annotations alone do not load it, given
`from __future__ import annotations`.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["np", "npt", "simdjson"]


class LazyModule(ModuleType):
    """Stand for a module, and import it when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Return what the module has by this name, and keep it, so that the next look is as fast as any."""
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import simdjson
else:
    np = LazyModule("numpy")
    npt = LazyModule("numpy.typing")
    simdjson = LazyModule("simdjson")
