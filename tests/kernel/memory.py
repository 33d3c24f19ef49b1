"""Tell what memory calls leave behind, in a process that does nothing else."""

import subprocess
import sys
import textwrap

_PROGRAM = """
from pathlib import Path
import segserve_kernel as kernel

{setup}

def use(times):
    for number in range(times):
{once}
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])

before_kb = use(20)
print(use(300) - before_kb)
"""


def grown_kb(setup: str, once: str) -> int:
    """Return by how much the resident memory grows while `once` is done 300 times.

    Args:
        setup: What is done before, in Python; `kernel` is the extension.
        once: What is repeated; `number` counts from 0.
    """
    program = _PROGRAM.format(
        setup=textwrap.dedent(setup), once=textwrap.indent(textwrap.dedent(once), " " * 8)
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)
