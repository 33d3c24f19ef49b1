"""Find the compiled kernel where it is installed; everything works without it, more slowly."""

import importlib
from functools import cache
from typing import Any, Final

from service.errors import ConfigurationError
from service.settings import KernelUse

MODULE: Final = "segserve_kernel"

INTERFACE: Final = 8
"""Of the extension that this version was written for; an older or newer one is left alone."""


def load_kernel(use: KernelUse) -> tuple[Any, str]:
    """Return the extension, or None and why Python is to do without.

    Raises:
        ConfigurationError: It must be used, and cannot be.
    """
    if use is KernelUse.OFF:
        return None, "off"
    extension, problem = _import_extension()
    if extension is None:
        refuse_without(use, problem)
    return extension, problem


def refuse_without(use: KernelUse, problem: str) -> None:
    """Raise ConfigurationError where the kernel, which cannot be used, must be."""
    if use is KernelUse.ON:
        raise ConfigurationError(
            f"SERVICE_KERNEL=on needs the compiled kernel, but {problem}: "
            "run 'make kernel', or set SERVICE_KERNEL=auto"
        )


@cache
def _import_extension() -> tuple[Any, str]:
    """Return the extension, or None and what is wrong with it."""
    try:
        extension = importlib.import_module(MODULE)
    except ModuleNotFoundError:
        return None, "it is not installed"
    except ImportError as exc:
        return None, f"it does not load ({exc})"
    if getattr(extension, "INTERFACE", None) != INTERFACE:
        return None, "it is of another version of segserve"
    return extension, ""
