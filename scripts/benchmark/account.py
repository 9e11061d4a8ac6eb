"""Run a command and note what it cost, in a process that is itself small.

The kernel starts the peak memory of a process at that of the process that started it, so a large parent would hide it.

usage: account.py RESULT COMMAND [ARGUMENT ...]
"""

import json
import os
import sys
import time

result, command = sys.argv[1], sys.argv[2:]
begin = time.monotonic()
child = os.posix_spawn(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
cost = {
    "wall": time.monotonic() - begin,
    "cpu": usage.ru_utime + usage.ru_stime,
    "rss": usage.ru_maxrss / 1024,
}
with open(result, "w", encoding="utf-8") as file:
    json.dump(cost, file)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
