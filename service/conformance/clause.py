"""Say what a clause is: a rule of the contract, how binding it is, and what is needed to check it."""

from dataclasses import dataclass
from enum import StrEnum


class Force(StrEnum):
    """Name how binding a clause is; a broken MUST is a failure, anything else a warning."""

    MUST = "MUST"
    """The platform breaks without it."""
    SHOULD = "SHOULD"
    """The platform recommends it, or AWS's own containers do it."""
    OPTIONAL = "OPTIONAL"
    """Only for containers that offer a feature."""


class Needs(StrEnum):
    """Name what must be given for a clause to be checked."""

    URL = "a server"
    IMAGE = "an image"
    TRAINING = "an image and training data"
    MULTI_MODEL = "a server of many models"


@dataclass(frozen=True, slots=True)
class Clause:
    """Hold one rule of the contract."""

    id: str
    force: Force
    needs: Needs
    sentence: str
    mend: str
    """What the maker of the container does about it."""
    source: str

    def as_dict(self) -> dict[str, str]:
        """Return the clause for a program."""
        return {
            "clause": self.id,
            "force": self.force.value,
            "sentence": self.sentence,
            "source": self.source,
            "needs": self.needs.value,
            "mend": self.mend,
        }
