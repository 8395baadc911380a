"""`scan baseline audit` at a terminal: one key is an answer, and what was said is kept."""

import os
import pty
import select
import subprocess
import time

BINARY = os.environ["STRONGROOM_BINARY"]
# Of the form of AWS's ids, in two halves, so that no scanner stops at this file.
KEYS = ["AKIA" + "QYLPMN5HHHFPZAM2", "AKIA" + "IMNOJVGFDXXXE4OA", "AKIA" + "Z7QXWERT234KLMNO"]


def screen_of(folder, *arguments):
    screen, terminal = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm"}
    process = subprocess.Popen(
        [BINARY, *arguments],
        cwd=folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
        start_new_session=True,
    )
    os.close(terminal)
    return screen, process


def read_until(screen, text, shown):
    deadline = time.monotonic() + 60
    while text not in shown:
        assert time.monotonic() < deadline, f"{text!r} did not come: {shown!r}"
        if select.select([screen], [], [], 0.1)[0]:
            try:
                shown += os.read(screen, 65536).decode(errors="replace")
            except OSError:  # The other end is closed.
                break
    return shown


def test_keys_are_answers(tmp_path):
    for number, key in enumerate(KEYS):
        (tmp_path / f"{number}.py").write_text(f'KEY = "{key}"\n')
    screen, process = screen_of(tmp_path, "scan", "baseline", "audit", "--from", "files")
    shown = read_until(screen, "1 of 3", "")
    shown = read_until(screen, "q quit", shown)
    # On the screen the value is shown, for a person has to judge it.
    assert any(key in shown for key in KEYS)
    os.write(screen, b"y")
    read_until(screen, "2 of 3", "")
    os.write(screen, b"n")
    read_until(screen, "3 of 3", "")
    os.write(screen, b"b")
    assert "said before: no secret" in read_until(screen, "said before", read_until(screen, "2 of 3", ""))
    os.write(screen, b"s")
    read_until(screen, "3 of 3", "")
    os.write(screen, b"q")
    read_until(screen, "findings in the baseline", "")
    assert process.wait(timeout=30) == 0
    os.close(screen)
    lines = (tmp_path / ".strongroom-baseline").read_text().splitlines()
    labels = sorted(line.split(" ")[1] for line in lines if not line.startswith("#") and " " in line)
    assert labels.count("true") == 1 and labels.count("false") == 1, lines
    assert not any(key in line for line in lines for key in KEYS)
