"""A tap on the wire: runs an agent and writes down every line in both directions.

    python tap.py LOG COMMAND …

A client starts this in the agent's place. LOG grows by one line for each message: `>` from the
client, `<` from the agent, `!` for how the agent ended. Bytes pass as they come.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import IO


def copy(mark: bytes, source: IO[bytes], sink: IO[bytes], log: int) -> None:
    """Pass lines on and write them down, until there are no more."""
    for line in source:
        os.write(log, mark + line)
        try:
            sink.write(line)
            sink.flush()
        except BrokenPipeError:
            break
    sink.close()


def main() -> int:
    """Run the agent until it ends."""
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    agent = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert agent.stdin
    assert agent.stdout
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda given, frame: agent.send_signal(given))
    inward = (b"> ", sys.stdin.buffer, agent.stdin, log)
    threading.Thread(target=copy, args=inward, daemon=True).start()
    outward = threading.Thread(target=copy, args=(b"< ", agent.stdout, sys.stdout.buffer, log))
    outward.start()
    status = agent.wait()
    outward.join(5)
    os.write(log, f"! the agent ended with status {status}\n".encode())
    os._exit(status if status >= 0 else 128 - status)  # the other thread waits for more input


if __name__ == "__main__":
    main()
