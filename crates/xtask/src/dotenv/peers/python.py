"""python-dotenv: reads a text in JSON a line, answers with its names and values."""

import io
import json
import logging
import sys

import dotenv

logging.disable(logging.CRITICAL)
for line in sys.stdin:
    text = json.loads(line).replace("\r\n", "\n").replace("\r", "\n")  # as a file opened in text mode
    print(json.dumps(list(dotenv.dotenv_values(stream=io.StringIO(text)).items())), flush=True)
