"""Services for tests of child processes."""

import os
import pickle
import signal
import subprocess
import sys
import time


def echo(parent):
    for message in parent:
        parent.send(message)


def oddities(parent):
    for message in parent:
        if message == "exit":
            sys.exit(7)
        if message == "sleep":
            time.sleep(1000)
        if message == "print":
            print("said on standard output", flush=True)
        if message == "allocate":
            try:
                parent.send(len(bytearray(1 << 40)))
            except MemoryError:
                parent.send("refused")
        elif message == "grandchild":
            parent.send(subprocess.Popen(["sleep", "1000"]).pid)
        elif message == "signals":
            handler = signal.getsignal(signal.SIGINT)
            shell = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
            inherited = subprocess.check_output([sys.executable, "-c", shell], text=True)
            parent.send([handler is signal.default_int_handler, inherited.strip() == "False"])
        else:
            parent.send(os.getpid())


def lingers(parent):
    for _ in parent:
        parent.send(os.getpid())
    time.sleep(1000)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


def hostile(parent):
    for _ in parent:
        parent.connection.send_bytes(pickle.dumps(Bomb()))
