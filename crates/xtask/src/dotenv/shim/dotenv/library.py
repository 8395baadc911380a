"""Asks the library, which runs as a process: a request a line, an answer a line, in JSON."""

import json
import os
import subprocess

# Tests empty the environment: what is needed from it is taken at the start.
_PATH = os.environ["STRONGROOM_DOTENV_LIBRARY"]
_process = None


def ask(op, **request):
    global _process
    if _process is None:
        _process = subprocess.Popen([_PATH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    _process.stdin.write(json.dumps({"op": op, **request}) + "\n")
    _process.stdin.flush()
    answer = json.loads(_process.stdout.readline())
    if isinstance(answer, dict) and "error" in answer:
        if "Permission denied" in answer["error"]:
            raise PermissionError(answer["error"])
        raise OSError(answer["error"])
    return answer
