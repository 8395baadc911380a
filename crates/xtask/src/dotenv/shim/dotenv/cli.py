"""Our binary under the name `dotenv`, as far as click's test runner calls it."""

import logging
import os
import subprocess
import sys

import click


class _Program:
    name = "dotenv"

    def main(self, args=(), prog_name=None, **extra):
        words = []
        for word in args:
            if word is None:
                words.pop()  # click takes an option without a value as not given
            else:
                words.append(os.fspath(word))
        ended = subprocess.run(["dotenv", *words], capture_output=True, text=True)
        click.echo(ended.stdout, nl=False)
        if ended.stderr.startswith(("Usage:", "Error")):
            click.echo(ended.stderr, nl=False, err=True)
        else:  # what python-dotenv logs, and pytest then takes
            logging.getLogger("dotenv.main").warning(ended.stderr.rstrip())
        sys.exit(ended.returncode)


cli = _Program()
