"""Broken outputs for every parser of outside text, until the time is over.

    .venv/bin/python benchmarks/fuzz.py [--minutes 10] [--seed N] [--only TARGET …]

Real outputs of git, ruff, ty and pytest on the demo repository, messages, replies, programs and
Python files are flipped, cut, spliced, repeated and sprinkled with control bytes. A parser may read
them or refuse them with the error that it documents (`tests/parsers.py`); every other error, and
more than `SLOW` seconds of the processor, is a crash. Its input is kept in `tests/data/fuzz`, which
`tests/test_fuzz.py` reads again. The seed is printed: with it the inputs are the same in the same
order. Exits 1 on a crash.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from parsers import CASES, TARGETS
from punie import testrun
from punie.demo import create
from punie.git import gitconfig, porcelain
from punie.git.repository import ENVIRONMENT, GIT
from punie.settings import Settings
from punie.workspace import Workspace, program
from punie.wrap import Allow, Context

ROOT = Path(__file__).resolve().parents[1]
SLOW = 5.0
"""Seconds of the processor for one input."""
CONTROLS = [bytes([n]) for n in (*range(32), 127, 255)] + [
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
]
LONGEST = 200_000
"""Bytes of an input."""


class Slow(BaseException):
    """A parser took too long."""


async def outputs(root: Path) -> dict[str, list[bytes]]:
    """Real inputs of every target."""
    here = Workspace(root)
    git = (*GIT, "--no-optional-locks")

    async def said(*command: str, **more: Any) -> bytes:
        return (await here.run(command, timeout=300, **more)).stdout

    async def asked(*options: str) -> bytes:
        return await said(*git, *options, env=ENVIRONMENT)

    aside = root.parent / "aside"
    aside.mkdir()
    context = Context(here, Settings(python=sys.executable), None, Allow())  # type: ignore[arg-type]
    await testrun.run_pytest(context, [], aside, node=False)
    ruff = ["check", "--output-format", "json", "--no-cache", "--exit-zero", "--select", "ALL"]
    python = sorted(root.rglob("*.py")) + sorted((ROOT / "src/punie").glob("*.py"))[:12]
    sources = [path.read_bytes() for path in python]
    symbol = {"name": "x", "kind": 5, "location": {"uri": "file:///x", "range": {}}}
    bodies = [{"id": 1, "result": [symbol]}, {"id": 2, "method": "x", "params": {}}]
    lines = [json.dumps(body).encode() for body in bodies]
    framed = b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(line), line) for line in lines)
    calls = [
        b"I'll look.\n<tool_call>\n<function=execute_code>\n<parameter=code>\nprint(1)\n"
        b"</parameter>\n</function>\n</tool_call>",
        b'<tool_call>{"name": "execute_code", "arguments": {"code": "print(1)"}}</tool_call>',
        b"text\n```python\nprint(git_status())\n```\n",
        b"<jupyter_code>print(1)<jupyter_output><|im_end|>",
    ]
    log = await asked("log", *porcelain.LOG_FORMAT)
    return {
        "status": [await asked("status", *porcelain.STATUS_FORMAT)],
        "diff": [
            await asked("diff", "--find-renames", *porcelain.DIFF_FORMAT),
            await asked("diff", "--cached", "--find-renames", *porcelain.DIFF_FORMAT),
        ],
        "log": [log],
        "show": [await asked("show", "--find-renames", *porcelain.SHOW_FORMAT, "HEAD")],
        "blame": [await asked("blame", *porcelain.BLAME_FORMAT, "--", "shop/orders.py")],
        "branches": [await asked("for-each-ref", porcelain.BRANCH_FORMAT, "refs/heads")],
        "lint": [await said(program("ruff"), *ruff)],
        "types": [await said(program("ty"), "check", "--output-format", "sarif")],
        "report": [(aside / "report.jsonl").read_bytes()],
        "settings": [await said("git", *gitconfig.LIST)],
        "answer": [json.dumps([symbol]).encode()],
        "hover": [
            b"```python\ndef f(\n    a: int,\n) -> int\n```\n---\nSays \\*a\\_b\\* &lt;once&gt;.\n",
            b"```xml\n<class 'Order'>\n```\n---\n# Title\n\n**Bold** text\n",
        ],
        "framing": [framed],
        "literals": sources,
        "prompt": [*calls, *sources[:3]],
        "python": sources,
    }


def mutated(chance: random.Random, inputs: list[bytes]) -> bytes:
    """One input, changed in one to six ways."""
    data = bytearray(chance.choice(inputs))
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(data))
        end = min(len(data), at + int(chance.expovariate(1 / 20)))
        match chance.randrange(8):
            case 0 if data:
                data[at - 1] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = chance.choice(CONTROLS) * chance.choice((1, 1, 2, 50))
            case 4:
                other = chance.choice(inputs)
                start = chance.randint(0, len(other))
                data[at:end] = other[start : start + chance.randint(0, 200)]
            case 5:
                data[at:at] = bytes(data[at:end]) * chance.choice((1, 2, 30))
            case 6:
                sign = chance.choice(
                    (b"9", b"(", b"[", b"{", b" ", b"\0", b"\n", b"a", b"'", b"-", b'"""\\')
                )
                data[at:at] = sign * chance.choice((20, 5000, 60_000))
            case 7:
                found = chance.choice((b"0", b"-1", b"1e999", b"null", b"\\ud800", b"\0\0", b"\r"))
                data[at:end] = found
    return bytes(data[:LONGEST])


def too_slow(*_: object) -> None:
    raise Slow


def crash(name: str, data: bytes) -> str:
    """What goes wrong with an input, or nothing."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SLOW)
    try:
        TARGETS[name](data)
    except Slow:
        return f"more than {SLOW:g} s"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error!s:.100} ({Path(frame.filename).name}:{frame.name})"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return ""


def keep(name: str, data: bytes) -> Path:
    """Save an input as a test case."""
    path = CASES / name / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path.relative_to(ROOT)


def main() -> None:
    """Fuzz and print."""
    parser = argparse.ArgumentParser(description="Broken outputs for every parser.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--only", nargs="*", choices=TARGETS, default=list(TARGETS))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGVTALRM, too_slow)
    with tempfile.TemporaryDirectory(prefix="punie-fuzz-") as folder:
        inputs = asyncio.run(outputs(create(Path(folder).resolve() / "shop")))
    for name in options.only:
        if not any(map(TARGETS[name], inputs[name])):
            raise SystemExit(f"{name}: nothing is read from its real outputs: they are wrong")
    chance, tried = random.Random(options.seed), Counter[str]()
    crashes: dict[tuple[str, str], Path] = {}
    deadline = time.monotonic() + 60 * options.minutes
    while time.monotonic() < deadline:
        for name in options.only:
            data = mutated(chance, inputs[name])
            tried[name] += 1
            what = crash(name, data)
            if what and (name, what.partition(":")[0]) not in crashes:
                crashes[name, what.partition(":")[0]] = kept = keep(name, data)
                print(f"{name}: {what}: kept as {kept}", flush=True)
    print("\n| parser | inputs | crashes |\n|---|---|---|")
    for name in options.only:
        print(f"| {name} | {tried[name]} | {sum(key[0] == name for key in crashes)} |")
    print(f"{tried.total()} inputs, {len(crashes)} kinds of crash")
    raise SystemExit(bool(crashes))


if __name__ == "__main__":
    main()
