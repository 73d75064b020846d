"""Children of queries are killed, stopped and cut short; no answer may be wrong because of it.

    .venv/bin/python benchmarks/faults.py [--faults 200] [--seed 1] [--seconds 10] [--only NUMBER …]

Each fault strikes one child (language server, git, ruff, ty, pytest) of one real query on the demo
repository, through the tool path that every caller takes. Afterwards the answer is the undisturbed
one or an error that names what failed, within the time limit; no process is left; no file of the
workspace has changed, git's own included; and the same query without a fault is right again.
Prints a table, then each violation with its number, which `--only` repeats; exits 1 on any.

The children are met by wrappers that stand first on PATH and beside the interpreter. A fault is
`kill` (SIGKILL), `stop` (SIGSTOP) or `cut`: only the first bytes of the output arrive, then the
program ends with status 0 or 1 or by a signal. Pytest and a warm server are killed and stopped at a
moment of their time; git, ruff and ty, which are done too soon for that, at a byte of their output.
Output that is cut just behind a whole record, by a program that then says all went well, cannot be
told from a shorter answer; `cut` may meet that.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import repos
from punie.demo import create
from punie.navigation.lsp import Server
from punie.settings import Settings
from punie.tool import load_tools
from punie.workspace import Workspace
from punie.wrap import Allow, Context, call

TESTS = Path(repos.__file__).parent
MARK = "FAULTS_MARK"
"""Variable by which all processes of a run are known."""
STAGE = "FAULTS_STAGE"
"""Variable that holds the folder of a run."""
GRACE = 5.0
"""Seconds over its limit that a query may take, and that a process may take to end."""
KINDS = ("kill", "stop", "cut")
ENDS = ("0", "1", "KILL", "PIPE")
"""How a program ends whose output was cut: with a status or by a signal."""
LONGEST = 4_000
"""Most bytes that are passed on before a cut."""

QUERIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("git", "git_status", {}),
    ("git", "git_diff", {}),
    ("git", "git_diff", {"staged": True}),
    ("git", "git_log", {}),
    ("git", "git_log", {"path": "shop/orders.py", "count": 2}),
    ("git", "git_blame", {"path": "shop/orders.py"}),
    ("git", "git_show", {"commit": "HEAD~1"}),
    ("git", "git_branch", {}),
    ("git", "search_text", {"pattern": "total"}),
    ("git", "list_files", {"pattern": "*.py"}),
    ("ruff", "ruff_check", {}),
    ("ty", "typecheck", {}),
    ("pytest", "pytest_run", {}),
    ("pytest", "pytest_run", {"path": "tests/test_orders.py::test_total"}),
    ("server", "hover", {"symbol": "Order"}),
    ("server", "goto_definition", {"symbol": "with_tax"}),
    ("server", "find_references", {"symbol": "Order"}),
    ("server", "document_symbols", {"file_path": "shop/orders.py"}),
    ("server", "workspace_symbols", {"query": "total"}),
)
"""Program that the fault strikes, tool, arguments."""

NAMES = {"server": "language server", "pytest": "pytest", "git": r"\bgit\b"}
NAMES |= {"ruff": r"\bruff\b", "ty": r"\bty\b"}
"""What an error must say: this, or the tool's own name."""

WRAPPER = """\
#!/bin/sh
# Becomes the real program; if the fault is meant for it, strikes that start of it.
name={name}
[ "$1" = server ] && name=server
[ "$FAULT_PROGRAM" = "$name" ] || exec {real} "$@"
start=0
while ! mkdir "$FAULTS_STAGE/starts/$start" 2>/dev/null; do start=$((start + 1)); done
[ "$start" = "$FAULT_START" ] || exec {real} "$@"
case "$name $FAULT_KIND" in
  "server cut" | git* | ruff* | "ty "*) exec {python} -IS {cutter} {real} "$@" ;;
esac
(sleep "$FAULT_DELAY"; : >"$FAULTS_STAGE/struck"; kill -s "$FAULT_KIND" $$) \\
  </dev/null >/dev/null 2>&1 &
exec {real} "$@"
"""

CUTTER = """\
import os, signal, subprocess, sys
left, end = int(os.environ["FAULT_BYTES"]), os.environ["FAULT_END"]
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
if os.environ["FAULT_PROGRAM"] == "server":
    while left > 0 and (chunk := os.read(child.stdout.fileno(), 65536)):
        os.write(1, chunk[:left])
        left -= len(chunk)
else:
    whole = child.stdout.read()
    sys.stdout.buffer.write(whole[: int(len(whole) * float(os.environ["FAULT_MOMENT"]))])
    sys.stdout.buffer.flush()
child.kill()
child.wait()
open(os.environ["FAULTS_STAGE"] + "/struck", "w").close()
if end.isdigit():
    os._exit(int(end))
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.kill(os.getpid(), getattr(signal, "SIG" + end))
"""


@dataclass(frozen=True)
class Fault:
    """What happens to which child of which query; all of it follows from seed and number."""

    number: int
    program: str
    tool: str
    arguments: dict[str, Any]
    kind: str
    start: int
    """Which start of the program within the query it strikes; of n, the remainder by n."""
    moment: float
    """When, as a part of the undisturbed query's time, or of the output of git, ruff and ty."""
    keep: int
    """Bytes of a language server that arrive before a cut."""
    end: str
    """How the program ends or, for `STOP`, does not."""

    @classmethod
    def drawn(cls, seed: int, number: int) -> Fault:
        chance = random.Random(f"{seed}/{number}")
        program, tool, arguments = chance.choice(QUERIES)
        kind = chance.choice(KINDS if program != "pytest" else KINDS[:2])
        start = chance.randrange(12)
        keep = int(math.exp(chance.uniform(0, math.log(LONGEST)))) - 1
        moment = chance.choice((0.0, *(chance.uniform(0, 0.95) for _ in range(9))))
        end = chance.choice(ENDS) if kind == "cut" else kind.upper()
        return cls(number, program, tool, arguments, kind, start, moment, keep, end)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        when = f"at {self.moment:.2f}, end {self.end}"
        if self.program == "server" and self.kind == "cut":
            when = f"after {self.keep} bytes, end {self.end}"
        return f"{self.tool}({given}): {self.kind} {self.program} (start {self.start}) {when}"


@dataclass
class Bench:
    """The stage of a run: repository, wrappers, one warm language server, undisturbed answers."""

    folder: Path
    seconds: float
    tools: dict[str, Any] = field(default_factory=load_tools)
    right: dict[str, tuple[object, float, int]] = field(default_factory=dict)
    """By query: what it answers, in how many seconds, with how many starts of its program."""
    took: float = 0.0
    """Seconds of the last query with a fault."""

    def __post_init__(self) -> None:
        self.root = create(self.folder / "shop")
        repos.git(self.root, "branch", "topic", "HEAD~1")
        self.settings = Settings(
            tool_seconds=self.seconds,
            test_seconds=self.seconds,
            python=str(self.folder / "venv/bin/tests-python"),
        )
        self.server = self.new_server()

    def new_server(self) -> Server:
        return Server(Workspace(self.root), self.settings, timeout=self.seconds / 6)

    async def ask(self, tool: str, arguments: dict[str, Any]) -> Any:
        context = Context(Workspace(self.root), self.settings, self.server, Allow(), trusted=True)
        given = self.tools[tool].bind((), arguments)
        async with asyncio.timeout(self.seconds + 2 + GRACE):
            return (await call(self.tools[tool], context, given))[0]

    async def undisturbed(self, fault: Fault) -> tuple[object, float, int]:
        """The right answer of a query, its time and how often it starts its program; asked once."""
        key = f"{fault.tool} {fault.arguments}"
        if key not in self.right:
            await self.ask(fault.tool, fault.arguments)  # warm
            self.forget()
            (self.folder / "starts").mkdir()
            os.environ |= {"FAULT_PROGRAM": fault.program, "FAULT_START": "none"}
            begun = time.monotonic()
            result = await self.ask(fault.tool, fault.arguments)
            seconds = time.monotonic() - begun
            starts = len(list((self.folder / "starts").iterdir()))
            self.disarm()
            if not result.success:
                raise SystemExit(f"{key} fails without a fault: {result.parse_error}")
            self.right[key] = (essence(result.model_dump()), seconds, max(starts, 1))
        return self.right[key]

    def forget(self) -> None:
        """Touch a file, so that the language server's kept answers are not given again."""
        os.utime(self.root / "shop/report.py")

    async def strike(self, fault: Fault) -> tuple[str, list[str]]:
        """`right`, `error` or `missed` (right, and the fault came too late), and violations."""
        expected, seconds, starts = await self.undisturbed(fault)
        before = repos.snapshot(self.root)
        self.forget()
        timer = await self.arm(fault, fault.moment * seconds, fault.start % starts)
        wrong: list[str] = []
        verdict = "right"
        begun = time.monotonic()
        try:
            result = await self.ask(fault.tool, fault.arguments)
            if not result.success:
                verdict = "error"
                if not clear(fault, result.parse_error):
                    wrong.append(f"unclear error: {result.parse_error}")
            elif essence(result.model_dump()) != expected:
                wrong.append(f"wrong answer: {result!s:.300}")
        except TimeoutError:
            wrong.append(f"over its limit of {self.seconds:g} s")
        self.took = time.monotonic() - begun
        if timer:
            timer.cancel()
        if verdict == "right" and not (self.folder / "struck").exists():
            verdict = "missed"
        self.disarm()
        if left := await self.left_over():
            wrong.append(f"processes are left: {left}")
        if changed := differing(before, repos.snapshot(self.root)):
            wrong.append(f"files have changed: {changed}")
        self.forget()
        try:
            after = await self.ask(fault.tool, fault.arguments)
            if not after.success or essence(after.model_dump()) != expected:
                wrong.append(f"the next query: {after!s:.300}")
        except TimeoutError:
            wrong.append("the next query is over its limit")
        return verdict, wrong

    async def arm(self, fault: Fault, delay: float, start: int) -> asyncio.TimerHandle | None:
        """Set the fault; a running server is struck by a timer, a program by its wrapper."""
        (self.folder / "starts").mkdir()
        if fault.program == "server":
            if fault.kind == "cut":
                await self.server.close()
                self.server = self.new_server()
            elif (pid := self.server.pid) is not None:
                loop = asyncio.get_running_loop()
                return loop.call_later(delay, self.hit, pid, f"SIG{fault.kind.upper()}")
        os.environ |= {
            **{"FAULT_PROGRAM": fault.program, "FAULT_START": str(start)},
            **{"FAULT_KIND": fault.kind if fault.kind == "cut" else fault.kind.upper()},
            **{"FAULT_DELAY": f"{delay:.4f}", "FAULT_BYTES": str(fault.keep)},
            **{"FAULT_END": fault.end, "FAULT_MOMENT": str(fault.moment)},
        }
        return None

    def hit(self, pid: int, name: str) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.Signals[name])
            (self.folder / "struck").touch()

    def disarm(self) -> None:
        os.environ["FAULT_PROGRAM"] = ""
        shutil.rmtree(self.folder / "starts", ignore_errors=True)
        (self.folder / "struck").unlink(missing_ok=True)

    async def left_over(self) -> list[str]:
        """Command lines of processes of this run that do not end; they are ended here."""
        deadline = time.monotonic() + GRACE
        while (found := self.others()) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return list(found.values())

    def others(self) -> dict[int, str]:
        """Living processes of this run, without us and the language server."""
        mark = f"{MARK}={os.environ[MARK]}".encode()
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            pid = int(entry.name)
            with suppress(OSError, IndexError):
                if pid == os.getpid() or mark not in (entry / "environ").read_bytes().split(b"\0"):
                    continue
                state, _, group = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
                if state != "Z" and int(group) != self.server.pid:
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[pid] = words.decode(errors="replace")[:100]
        return found


def essence(value: Any) -> object:
    """A result without how long things took."""
    if isinstance(value, dict):
        return {name: essence(each) for name, each in value.items() if name != "duration"}
    return [essence(each) for each in value] if isinstance(value, list) else value


def clear(fault: Fault, error: str | None) -> bool:
    """Whether an error names what failed, and is not one of ours that merely came through."""
    named = re.search(rf"{NAMES[fault.program]}|\b{fault.tool}\b", error or "")
    return bool(named) and not re.search(r"\b[A-Z]\w+Error: |Traceback", error or "")


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))[:5]


def prepare(folder: Path) -> dict[str, str]:
    """An interpreter with wrappers beside it; returns the environment to run it in."""
    place = folder / "venv/bin"
    place.mkdir(parents=True)
    home = Path(sys.executable).resolve()
    (folder / "venv/pyvenv.cfg").write_text(f"home = {home.parent}\n")
    (place / "python").symlink_to(home)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "venv/lib" / version / "site-packages").mkdir(parents=True)
    cutter = folder / "cutter.py"
    cutter.write_text(CUTTER)
    beside = Path(sys.executable).parent
    real = {"git": shutil.which("git"), "ruff": beside / "ruff", "ty": beside / "ty"}
    real["pytest"] = place / "python"
    for name, program in real.items():
        wrapper = place / ("tests-python" if name == "pytest" else name)
        words = {"real": program, "python": place / "python", "cutter": cutter, "name": name}
        wrapper.write_text(WRAPPER.format(**words))
        wrapper.chmod(0o755)
    paths = [*sys.path[1:], str(TESTS)]
    return repos.ENVIRONMENT | {
        **{MARK: folder.name, STAGE: str(folder), "FAULT_PROGRAM": ""},
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }


async def run(folder: Path, options: argparse.Namespace) -> int:
    """Strike and print; returns how many violations there were."""
    bench = Bench(folder, options.seconds)
    counts: Counter[tuple[str, str, str]] = Counter()
    found: list[tuple[Fault, str]] = []
    try:
        for number in options.only or range(options.faults):
            fault = Fault.drawn(options.seed, number)
            verdict, wrong = await bench.strike(fault)
            counts[fault.tool, fault.kind, "violation" if wrong else verdict] += 1
            found += [(fault, what) for what in wrong]
            shown = f"{number:4} {'VIOLATION' if wrong else verdict:9} {bench.took:5.1f} s  {fault}"
            print(shown, *wrong, sep="\n       ", file=sys.stderr, flush=True)
    finally:
        await bench.server.close()
    print("| tool | fault | right | clear error | fault missed | violations |")
    print("|---|---|---|---|---|---|")
    for tool, kind in sorted({key[:2] for key in counts}):
        numbers = sorted({f.number for f, _ in found if (f.tool, f.kind) == (tool, kind)})
        cells = [counts[tool, kind, verdict] for verdict in ("right", "error", "missed")]
        shown = " | ".join(map(str, cells))
        print(f"| {tool} | {kind} | {shown} | {', '.join(map(str, numbers)) or 0} |")
    for fault, what in found:
        print(f"seed {options.seed}, number {fault.number}: {fault}: {what}")
    print(f"{sum(counts.values())} faults, {len({f.number for f, _ in found})} with violations")
    return len(found)


def main() -> None:
    """Prepare a stage, go there, run."""
    parser = argparse.ArgumentParser(description="Faults in the children of queries.")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10, help="time limit of a query")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the faults to repeat")
    options = parser.parse_args()
    if STAGE in os.environ:
        raise SystemExit(asyncio.run(run(Path(os.environ[STAGE]), options)) > 0)
    with tempfile.TemporaryDirectory(prefix="punie-faults-") as name:
        folder = Path(name).resolve()
        environment = os.environ | prepare(folder)
        command = [str(folder / "venv/bin/python"), __file__, *sys.argv[1:]]
        status = os.spawnve(os.P_WAIT, command[0], command, environment)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
