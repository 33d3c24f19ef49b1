"""Kill a process at its n-th system call that changes something on a disk; needs Linux.

The one who traces is the one who forks, so this runs in a process of its own (power_cut.py).
"""

import ctypes
import os
import platform
import signal
from collections.abc import Callable
from dataclasses import dataclass

_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_TRACESYSGOOD, _EXITKILL = 1, 0x100000
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_ENTRY = 1
_NAMES = {
    "x86_64": {
        1: "write",
        18: "pwrite64",
        74: "fsync",
        75: "fdatasync",
        76: "truncate",
        77: "ftruncate",
        82: "rename",
        83: "mkdir",
        84: "rmdir",
        86: "link",
        87: "unlink",
        90: "chmod",
        91: "fchmod",
        257: "openat",
        258: "mkdirat",
        263: "unlinkat",
        264: "renameat",
        268: "fchmodat",
        316: "renameat2",
        73: "flock",
    },
    "aarch64": {
        64: "write",
        68: "pwrite64",
        82: "fsync",
        83: "fdatasync",
        45: "truncate",
        46: "ftruncate",
        38: "renameat",
        34: "mkdirat",
        35: "unlinkat",
        37: "linkat",
        52: "fchmod",
        53: "fchmodat",
        56: "openat",
        276: "renameat2",
        32: "flock",
    },
}


class _Info(ctypes.Structure):
    """What PTRACE_GET_SYSCALL_INFO gives. Source: ptrace(2)."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
        ("more", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class Run:
    """How a traced process ended."""

    steps: list[str]
    """The calls that it began, the last of which it was killed at."""
    was_killed: bool
    code: int


def run_until(step: int, task: Callable[[], object]) -> Run:
    """Run a task in a child, which is killed as it begins its `step`-th call, counted from 1."""
    names = _NAMES[platform.machine()]
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.restype = ctypes.c_long
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    pid = os.fork()
    if pid == 0:
        ptrace(_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        code = 1
        try:
            task()
            code = 0
        finally:
            os._exit(code)
    os.waitpid(pid, 0)
    assert ptrace(_SETOPTIONS, pid, None, _TRACESYSGOOD | _EXITKILL) == 0
    steps: list[str] = []
    info = _Info()
    handed_on = 0
    while True:
        ptrace(_SYSCALL, pid, None, handed_on)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            return Run(steps, was_killed=False, code=os.WEXITSTATUS(status))
        if os.WIFSIGNALED(status):
            return Run(steps, was_killed=True, code=os.WTERMSIG(status))
        handed_on = 0 if os.WSTOPSIG(status) == _SYSCALL_STOP else os.WSTOPSIG(status)
        if os.WSTOPSIG(status) != _SYSCALL_STOP:
            continue
        ptrace(_GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == _ENTRY and info.number in names:
            steps.append(names[info.number])
            if len(steps) == step:
                os.kill(pid, signal.SIGKILL)
