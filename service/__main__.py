"""Run the command line as ``segserve`` or ``python -m service``, which is also the image's entry point.

`serve`, as SageMaker starts a container (C1), and `train` do without the command line's own imports.
"""

import importlib
import sys

from service.commands.plain import find_command
from service.exits import leave, run
from service.imports import importing


def main() -> None:
    """Run a command and exit: 0 done, 1 failed, 2 usage, 3 cannot start, 4 a check failed."""
    command = find_command(sys.argv[1:])
    if command is not None:
        leave(run(command))
    with importing():
        cli = importlib.import_module("service.cli")
    cli.main()


if __name__ == "__main__":
    main()
