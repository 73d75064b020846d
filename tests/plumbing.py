"""What git's plumbing says, read without any of Punie's parsers, against what the tools say.

Plumbing compares the tree with a copy of the index that was refreshed, since reading must not
refresh the real one. Commits are taken from their objects (`cat-file`), files from `diff-tree`,
counts from `--numstat`, hunks from the patch of each single file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from repos import ENVIRONMENT

WORDS = {"M": "modified", "A": "added", "D": "deleted", "R": "renamed", "C": "copied"}
WORDS |= {"T": "type_changed", "U": "conflicted"}
Ask = Callable[..., Any]
"""Calls a tool by its name: `ask("git_log", count=3)` gives the result."""
Row = tuple[str, str, str]
"""File, word of its status, former name."""


def text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


@dataclass
class Plumbing:
    """Git's plumbing in one folder."""

    root: Path
    index: Path | None = None
    """The refreshed copy of the index."""

    def run(self, *args: str | bytes, **env: str) -> bytes:
        """Output of a command, which may fail."""
        given = dict(os.environ) | ENVIRONMENT | {"GIT_OPTIONAL_LOCKS": "0"} | env
        given |= {"GIT_NO_LAZY_FETCH": "1"}
        given |= {"GIT_INDEX_FILE": str(self.index)} if self.index else {}
        command = ["git", "--no-pager", "-c", "core.quotepath=off", "-c", "core.fsmonitor=false"]
        done = subprocess.run(
            [*command, "--literal-pathspecs", *args],
            cwd=self.root,
            env=given,
            capture_output=True,
            check=False,
        )
        return done.stdout

    def names(self, *args: str | bytes) -> list[bytes]:
        return self.run(*args).split(b"\0")[:-1]

    def head(self) -> str:
        """HEAD, or the empty tree where there is no commit."""
        found = self.run("rev-parse", "--verify", "--quiet", "HEAD").strip()
        return text(found or self.run("hash-object", "-t", "tree", os.devnull).strip())

    def rows(self, *args: str) -> list[tuple[str, bytes, bytes]]:
        """Letter, name and former name of each entry of a `--name-status`."""
        fields = iter(self.names(*args, "--name-status", "-z", "--relative", "--", "."))
        found = []
        for state in fields:
            old = next(fields)
            name = next(fields) if state[:1] in b"RC" else old
            found.append((text(state[:1]), name, old))
        return found

    def counts(self, *args: str) -> dict[bytes, tuple[int, int]]:
        """Lines added and deleted by name."""
        fields = iter(self.names(*args, "--numstat", "-z", "--relative", "--", "."))
        found = {}
        for entry in fields:
            added, deleted, name = entry.split(b"\t", 2)
            if not name:
                next(fields)
                name = next(fields)
            found[name] = (0, 0) if added == b"-" else (int(added), int(deleted))
        return found

    def renames(self) -> str:
        wanted = self.run("config", "diff.renames").strip()
        return "-C" if wanted in (b"copies", b"copy") else "-M"


@dataclass
class Judge:
    """Compares the tools' results on one workspace with plumbing, field by field."""

    root: Path
    ask: Ask
    refusals: tuple[str, ...] = ()
    """What the reason of a refusal may say on this workspace."""
    compared: int = 0
    wrong: list[str] = field(default_factory=list)

    def same(self, what: str, ours: object, theirs: object) -> None:
        self.compared += 1
        if ours != theirs:
            self.wrong.append(f"{what}: tool {ours!r:.300}, git {theirs!r:.300}")

    def everything(self) -> None:
        """Ask every tool in the usual ways."""
        with tempfile.TemporaryDirectory() as folder:
            plain = Plumbing(self.root)
            place = text(plain.run("rev-parse", "--path-format=absolute", "--git-path", "index"))
            copy = Path(folder) / "index"
            if Path(place.removesuffix("\n")).exists():
                for near in Path(place.removesuffix("\n")).parent.glob("*index*"):
                    if near.is_file():
                        shutil.copy2(near, folder)  # its time tells what may be racy
            git = Plumbing(self.root, copy)
            git.run("update-index", "-q", "--refresh", GIT_OPTIONAL_LOCKS="1")
            self.status(git)
            for staged in (False, True):
                self.diff(git, staged)
            self.log(git, 10)
            self.log(git, 0)
            for name in text(b"\n".join(git.names("ls-files", "-z")[:2])).split("\n")[:2]:
                if "\ufffd" not in name and name:
                    self.log(git, 3, name)
            self.show(git)
            self.blame(git)
            self.branch(git)

    def ok(self, name: str, **arguments: Any) -> Any:
        """A result that must be a success, or refused as expected."""
        result = self.ask(name, **arguments)
        expected = any(part in (result.parse_error or "") for part in self.refusals)
        self.same(f"{name} success", result.success or expected or result.parse_error, True)
        return result if result.success else None

    def status(self, git: Plumbing) -> None:
        conflicts = {e.split(b"\t", 1)[1] for e in git.names("ls-files", "-u", "-z")}
        how = (git.renames(), "--ita-invisible-in-index", "--ignore-submodules=none")
        expected = {(text(name), "conflicted", False, "") for name in conflicts}
        for staged, rows in (
            (True, git.rows("diff-index", "--cached", *how, git.head())),
            (False, git.rows("diff-files", *how)),
        ):
            for letter, name, old in rows:
                if name not in conflicts:
                    former = text(old) if old != name else ""
                    expected.add((text(name), WORDS[letter], staged, former))
        for name in git.names("ls-files", "--others", "--exclude-standard", "-z"):
            expected.add((text(name), "untracked", False, ""))
        result = self.ok("git_status")
        if result is None:
            return
        found = [(f.file, f.status, f.staged, f.old_file) for f in result.files]
        self.same("status truncated", result.truncated, len(expected) > 200)
        if result.truncated:
            self.same("status files", set(found) <= expected and len(found) == 200, True)
        else:
            self.same("status files", sorted(found), sorted(expected))
        self.same("status file_count", result.file_count, len({e[0] for e in expected}))
        self.same("status clean", result.clean, not expected)

    def diff(self, git: Plumbing, staged: bool) -> None:
        which = ("diff-index", "--cached", git.head()) if staged else ("diff-files",)
        which = (*which, "--ita-invisible-in-index", "--no-ext-diff", "--no-textconv")
        result = self.ok("git_diff", staged=staged)
        if result is None:
            return
        ours = () if staged else ("-2",)
        self._files(git, f"diff {'staged' if staged else 'unstaged'}", which, result, ours)
        self.same("diff file_count", result.file_count, len(result.files))

    def _files(
        self, git: Plumbing, what: str, which: tuple[str, ...], result: Any, ours: tuple[str, ...]
    ) -> None:
        """The files of a diff: names, words, counts, hunks."""
        words: dict[bytes, Row] = {}
        for letter, name, old in git.rows(*which, git.renames()):
            former = text(old) if old != name else ""
            if letter != "M" or git.run(*which, "-p", "--relative", "--", name):  # else line ends
                words.setdefault(name, (text(name), WORDS[letter], former))
        counts = git.counts(*which, *ours, git.renames())
        found = {(f.file, f.status, f.old_file) for f in result.files}
        self.same(f"{what} files", sorted(found), sorted(words.values()))
        for name, (shown, word, former) in words.items():
            each = next((f for f in result.files if (f.file, f.old_file) == (shown, former)), None)
            if each is None or sum(f.file == shown for f in result.files) > 1:
                continue  # said above, or two names that look alike
            both = [os.fsencode(name), os.fsencode(former)] if former else [name]
            patch = git.run(*which, *ours, git.renames(), "-p", "-U3", "--relative", "--", *both)
            if re.search(rb"^\+Subproject commit \w+-dirty$", patch, re.MULTILINE):
                counts[name] = (1, 1)  # numstat alone does not count it
            lines = (each.additions, each.deletions)
            self.same(f"{what} {shown!r} lines", lines, counts.get(name, (0, 0)))
            if not result.truncated and word != "copied":  # that patch has two files
                self.same(f"{what} {shown!r} hunks", "\n".join(each.hunks), hunks(patch))
        self.same(f"{what} additions", result.additions, sum(a for a, _ in counts.values()))
        self.same(f"{what} deletions", result.deletions, sum(d for _, d in counts.values()))

    def log(self, git: Plumbing, count: int, path: str = ".") -> None:
        prefix = git.run("rev-parse", "--show-prefix").strip()
        limits = ["--", path] if path != "." or prefix else ["--"]
        hashes = text(git.run("rev-list", "HEAD", *limits)).split()
        if not hashes and not git.run("rev-parse", "--verify", "--quiet", "HEAD"):
            failed = self.ask("git_log", count=count)
            self.same("log of nothing", "no commits yet" in (failed.parse_error or ""), True)
            return
        result = self.ok("git_log", count=count, path=path)
        if result is None:
            return
        wanted = hashes[:count] if count else hashes
        self.same("log commit_count", result.commit_count, len(wanted))
        self.same("log truncated", result.truncated, len(wanted) > 200)
        self.same("log hashes", [c.hash for c in result.commits], wanted[:200])
        for each in result.commits[:30]:
            self._header(git, "log", each)
            expected = [text(name) for _, name, _ in self.changed(git, each.hash)]
            self.same(f"log {each.hash} files", each.files, expected)

    def changed(self, git: Plumbing, sha: str) -> list[tuple[str, bytes, bytes]]:
        partial = git.run("config", "remote.origin.promisor")  # has no contents to compare
        how = "--find-renames=100%" if partial else git.renames()
        return git.rows(*self.against_first_parent(git, sha), how)

    def against_first_parent(self, git: Plumbing, sha: str) -> tuple[str, ...]:
        parents = text(git.run("rev-list", "--parents", "-n1", sha)).split()[1:]
        pair = (parents[0], sha) if parents else ("--root", "--no-commit-id", sha)
        return ("diff-tree", "-r", "--no-ext-diff", "--no-textconv", *pair)

    def _header(self, git: Plumbing, what: str, each: Any) -> None:
        """Message, author and date against the commit object."""
        head, _, message = git.run("cat-file", "commit", each.hash).partition(b"\n\n")
        found = re.search(rb"^author (.*) ?<(.*)> (\d+) ([-+]\d{4})$", head, re.MULTILINE)
        assert found, head
        coding = re.search(rb"^encoding (.*)$", head, re.MULTILINE)
        known = "latin-1" if coding and coding[1] == b"ISO-8859-1" else "utf-8"

        def read(value: bytes) -> str:
            return value.decode(known, "replace")

        begun = re.sub(rb"\A(?:\s*\n)+", b"", message)
        subject, body = (re.split(rb"\n\s*\n", begun, maxsplit=1) + [b""])[:2]
        lines = [line.rstrip() for line in subject.split(b"\n")]
        self.same(f"{what} author", each.author, read(found[1]).strip())
        self.same(f"{what} email", each.email, read(found[2]))
        moment = datetime.fromisoformat(each.date)
        zone = moment.strftime("%z")
        theirs = (int(found[3]), text(found[4]).replace("-0000", "+0000"))
        self.same(f"{what} date", (int(moment.timestamp()), zone), theirs)
        self.same(f"{what} message", each.message, read(b" ".join(lines)).rstrip())
        self.same(f"{what} body", each.body, read(body).strip("\n"))

    def show(self, git: Plumbing) -> None:
        for sha in text(git.run("rev-list", "-n12", "HEAD", "--")).split():
            result = self.ok("git_show", commit=sha)
            if result is None:
                continue
            self.same("show hash", result.hash, sha)
            self._header(git, "show", result)
            self._files(git, f"show {sha}", self.against_first_parent(git, sha), result, ())

    def blame(self, git: Plumbing) -> None:
        listed = git.names("ls-tree", "-r", "-z", "--name-only", "HEAD")[:40]
        there = [n for n in listed if (self.root / os.fsdecode(n)).is_file() and b"\xff" not in n]
        for name in there[:6]:
            if "\ufffd" in text(name):
                continue
            for first, last in ((None, None), (2, 3)):
                rows = list(
                    blamed(git.run("blame", "--line-porcelain", "--no-textconv", "--", name))
                )
                if first and len(rows) < first:
                    continue
                chosen = rows[(first or 1) - 1 : last]
                result = self.ok("git_blame", path=text(name), start_line=first, end_line=last)
                if result is None:
                    continue
                found = [
                    (one.line, one.hash, one.author, _moment(one), one.text) for one in result.lines
                ]
                self.same("blame truncated", result.truncated, len(chosen) > 200 or _long(chosen))
                if not _long(chosen):
                    self.same(f"blame {name!r}", found, chosen[:200])

    def branch(self, git: Plumbing) -> None:
        result = self.ok("git_branch")
        if result is None:
            return
        current = text(git.run("symbolic-ref", "-q", "HEAD").strip()).removeprefix("refs/heads/")
        self.same("branch current", result.current, current)
        refs = [row.split(" ", 1) for row in text(git.run("show-ref", "--heads")).splitlines()]
        self.same(
            "branch hashes", [[b.hash, f"refs/heads/{b.name}"] for b in result.branches], refs
        )
        for each in result.branches:
            self.same("branch mark", each.current, each.name == current)
            there = self.upstream(git, each.name)
            self.same("branch upstream", each.upstream, re.sub("^refs/(heads|remotes)/", "", there))
            sides = git.run("rev-list", "--left-right", "--count", f"{each.hash}...{there}")
            counted = [int(n) for n in sides.split()] if there else [0, 0]
            self.same("branch distance", [each.ahead, each.behind], counted)
            form = "--format=%s%x00%aI"
            shown = git.run("rev-list", "-n1", "--encoding=UTF-8", form, each.hash)
            last = text(shown.partition(b"\n")[2].removesuffix(b"\n")).split("\0")
            self.same("branch last commit", [each.message, each.date], last)

    def upstream(self, git: Plumbing, name: str) -> str:
        """Full name of what a branch follows, from its settings; empty when it is not there."""
        remote, merge = (
            text(git.run("config", f"branch.{name}.{key}").strip()) for key in ("remote", "merge")
        )
        there = merge if remote == "." else merge.replace("refs/heads", f"refs/remotes/{remote}")
        return there if there and git.run("show-ref", "--verify", there) else ""


def hunks(patch: bytes) -> str:
    """The hunks of patches that each have one file, headers left out."""
    if (
        re.search(rb"^Binary files .* differ$", patch, re.MULTILINE | re.DOTALL)
        and b"\n@@" not in patch
    ):
        return "Binary files differ"
    parts = re.split(rb"^diff --git .*\n", patch, flags=re.MULTILINE)
    kept = [b"@@ " + part.split(b"\n@@ ", 1)[1] for part in parts if b"\n@@ " in part]
    return text(b"".join(kept).removesuffix(b"\n"))


def blamed(output: bytes) -> Iterator[tuple[int, str, str, int, str]]:
    """Line, hash, author, moment (0 when not committed) and text of each line of a blame."""
    for match in re.finditer(
        rb"^([0-9a-f]{40,64}) \d+ (\d+).*?^author (.*?)$.*?^author-time (\d+)$.*?^\t(.*?)$",
        output,
        re.MULTILINE | re.DOTALL,
    ):
        sha, line, author, moment, content = match.groups()
        when = int(moment) if sha.strip(b"0") else 0
        yield int(line), text(sha), text(author), when, text(content.removesuffix(b"\r"))


def _moment(line: Any) -> int:
    return int(datetime.fromisoformat(line.date).timestamp()) if line.hash.strip("0") else 0


def _long(rows: list[tuple[int, str, str, int, str]]) -> bool:
    return any(len(row[4]) > 1000 for row in rows)
