"""Read the table of prices, which says its date; nothing here needs the extra `aws`."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from service.errors import ConfigurationError

HOURS_A_MONTH: Final = 730
_BUNDLED: Final = Path(__file__).with_name("prices.json")


class PriceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold prices an instance and hour, by region and instance type; `prices.json` is this class."""

    as_of: date
    source: str
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    instance_hour: Mapping[str, Mapping[str, Annotated[float, Meta(ge=0)]]]

    def hourly(self, region: str, instance_type: str) -> float | None:
        """Return the price of an instance an hour, None where the table does not know it."""
        return self.instance_hour.get(region, {}).get(instance_type)


def read_prices(path: Path | None = None) -> PriceTable:
    """Read a price table; None is the bundled one.

    Raises:
        ConfigurationError: It cannot be read, or is not one.
    """
    source = path or _BUNDLED
    try:
        return msgspec.json.decode(source.read_bytes(), type=PriceTable)
    except OSError as exc:
        raise ConfigurationError(f"the price table {source} cannot be read: {exc.strerror}") from None
    except (msgspec.ValidationError, msgspec.DecodeError) as exc:
        raise ConfigurationError(f"the price table {source} is not one: {exc}") from None
