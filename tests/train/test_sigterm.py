"""A process that does not leave by itself is ended after the grace."""

import subprocess
import sys
import time

SLEEPER = """
import time
from msnmo.train.sigterm import stop_on_sigterm
asked = stop_on_sigterm("kept what was finished", grace_seconds={grace})
print("ready", flush=True)
while not ({leaves} and asked()):
    time.sleep(0.01)
print("left by itself")
"""


def start(**settings: object) -> subprocess.Popen:
    code = SLEEPER.format(**settings)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def test_who_asks_can_leave_in_good_order():
    process = start(grace=60, leaves=True)
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "left by itself\n")


def test_who_does_not_ask_is_ended_after_the_grace():
    process = start(grace=0.5, leaves=False)
    process.send_signal(10)  # SIGUSR1 has no handler here: it ends the process at once
    assert process.wait(timeout=30) == -10
    process = start(grace=0.5, leaves=False)
    process.terminate()
    time.sleep(0.1)
    assert process.poll() is None
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "kept what was finished" in said
