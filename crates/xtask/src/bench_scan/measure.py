"""Runs a command and prints what it took: wall, user and system seconds, the largest resident set in KiB, exit code."""

import os
import sys
import time

with open(os.devnull, "r+b") as nothing:
    start = time.monotonic()
    child = os.posix_spawnp(
        sys.argv[1],
        sys.argv[1:],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, nothing.fileno(), descriptor) for descriptor in (1, 2)],
    )
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - start
code = os.waitstatus_to_exitcode(status)
print(wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss, code)
