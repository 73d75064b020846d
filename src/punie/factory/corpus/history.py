"""An invented git history that ends in the files on disk.

The last commit holds the files as they are. Going backwards from there, single steps are taken
back (`rewind`); what is left is added by the first commits. All commits go through one
`git fast-import`, with fixed identities and dates, so that the hashes depend on the recipe alone.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from punie.factory.corpus import quarrel
from punie.factory.corpus.commit import Commit
from punie.factory.corpus.gitrun import git
from punie.factory.corpus.layout import Layout
from punie.factory.corpus.passing import come_and_go
from punie.factory.corpus.people import Author, body, draw_authors, subject
from punie.factory.corpus.rewind import take_back
from punie.factory.corpus.snippets import PLAIN, Words


def write(
    root: Path,
    plan: Layout,
    rng: Random,
    version: str,
    *,
    passing: Random | None = None,
    divided: bool = False,
) -> dict[str, Any]:
    """Make `root` a repository on branch `main`; returns head, commits, branches, authors.

    With `passing`, late commits delete and rename files; else every file stays where it came.
    `divided` ends main and the last of the branches with commits that cannot be merged.
    """
    final = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    fixes, first = _fixes(plan, rng, dict(final))
    line = _interleave(_groups(plan, rng, first), fixes, rng)
    authors = draw_authors(rng)
    writer = _Writer(root, rng, authors)
    window = _branch_window(line, rng)
    if passing:
        line = come_and_go(line, window[1], plan, passing)
    for index, commit in enumerate(line):
        if index == window[0]:
            continue
        if index == window[0] + 1:
            _merge(writer, line, window)
            continue
        if window[0] < index <= window[1]:
            continue
        writer.add("main", commit, [writer.tip] if writer.tip else [], passing)
    names = _side_branch(writer, plan, rng, final, line)
    if divided:
        names.append(_divided(writer, plan, final))
    writer.refs.append((f"refs/tags/v{version}", writer.main[-rng.randint(2, 4)]))
    if rng.random() < 0.5:
        writer.refs.append(("refs/remotes/origin/main", writer.main[-rng.randint(2, 3)]))
    writer.run(authors[0])
    return {
        "head": git(root, "rev-parse", "HEAD").strip(),
        "commits": len(writer.main),
        "branches": ["main", writer.topic_branch, *names],
        "authors": [{"name": author.name, "email": author.email} for author in authors],
    }


def _fixes(
    plan: Layout, rng: Random, files: dict[str, bytes]
) -> tuple[list[Commit], dict[str, bytes]]:
    """Commits that change lines, oldest first, and the files as they were before all of them."""
    pools = [plan.modules] * 5 + [plan.tests, plan.prose]
    fixes: list[Commit] = []
    wanted = rng.randint(7, 15)
    for _ in range(wanted * 6):
        if len(fixes) == wanted:
            break
        pool = rng.choice(pools) or plan.modules
        chosen = sorted({rng.choice(pool) for _ in range(rng.choice((1, 1, 1, 2, 3))) if pool})
        commit: Commit | None = None
        for path in chosen:
            step = take_back(path, files[path].decode("utf-8"), rng)
            if step is None:
                continue
            commit = commit or Commit(step.kind, step.topic, {})
            commit.files[path] = files[path]
            files[path] = step.before.encode("utf-8")
        if commit:
            fixes.append(commit)
    fixes.reverse()
    return fixes, files


def _groups(plan: Layout, rng: Random, files: dict[str, bytes]) -> list[Commit]:
    """The commits that add files: skeleton, modules in a few groups, tests, docs, the rest."""
    inside = [path for path in files if path.startswith(plan.package)]
    skeleton = [path for path in files if "/" not in path and path not in inside]
    tests = [path for path in files if path in plan.tests or path.split("/")[0] == plan.test_folder]
    tests = [path for path in tests if path not in inside]
    docs = [path for path in files if path.split("/")[0] in ("doc", "docs", "examples")]
    docs = [path for path in docs if path not in tests]
    taken = {*inside, *skeleton, *tests, *docs}
    count = min(rng.randint(2, 4), len(inside))
    parts = [inside[index::count] for index in range(count)] if count else []
    name = Path(plan.package).stem
    groups = [("feat", "project skeleton", skeleton)]
    for part in parts:
        top = Path(rng.choice([path for path in part if path.endswith(".py")] or part)).stem
        topic = f"{name} package" if part is parts[0] else f"{top.strip('_')} and related modules"
        groups.append(("feat", topic, part))
    groups += [("test", f"test suite for {name}", tests), ("docs", "documentation", docs)]
    groups.append(("feat", "supporting files", [path for path in files if path not in taken]))
    return [
        Commit(kind, topic, {path: files[path] for path in paths})
        for kind, topic, paths in groups
        if paths
    ]


def _interleave(groups: list[Commit], fixes: list[Commit], rng: Random) -> list[Commit]:
    """Groups before the fixes that need them; tests, docs and the rest may come between fixes."""
    early = [
        group for group in groups if group.kind == "feat" and group.topic != "supporting files"
    ]
    line = list(fixes)
    for group in [group for group in groups if group not in early]:
        needed = [i for i, fix in enumerate(line) if group.files.keys() & fix.files.keys()]
        line.insert(rng.randint(0, min([len(line), *needed])), group)
    return early + line


def _branch_window(line: list[Commit], rng: Random) -> tuple[int, int]:
    """First and last index of three commits, of which the last two can stand on a branch."""
    spots = [
        index
        for index in range(2, len(line) - 4)
        if not line[index].files.keys() & {*line[index + 1].files, *line[index + 2].files}
        and all(len(commit.files) < 4 for commit in line[index : index + 3])
    ]
    start = rng.choice(spots) if spots else max(len(line) - 4, 1)
    return start, min(start + 2, len(line) - 1)


def _merge(writer: _Writer, line: list[Commit], window: tuple[int, int]) -> None:
    """Write the commits of the window: the first on main, the others on a branch, a merge."""
    rng, base = writer.rng, writer.tip
    branch = line[window[0] + 1 : window[1] + 1]
    word = branch[0].topic.split()[-1].split(".")[0].strip("_").lower().replace("_", "-")
    writer.topic_branch = f"{rng.choice(('fix', 'feature', 'topic'))}/{word}"
    tip = base
    for commit in branch:
        tip = writer.add(writer.topic_branch, commit, [tip])
    writer.add("main", line[window[0]], [base])
    files = {path: data for commit in branch for path, data in commit.files.items()}
    merge = Commit("merge", "", files, f"Merge branch '{writer.topic_branch}'")
    writer.add("main", merge, [writer.tip, tip])


def _side_branch(
    writer: _Writer, plan: Layout, rng: Random, final: dict[str, bytes], line: list[Commit]
) -> list[str]:
    """A branch that was never merged: one or two commits on top of an older one of main."""
    words = Words(rng)
    name = f"{rng.choice(('wip', 'feature', 'experiment'))}/{words.fill(PLAIN[0])[1]}"
    name = name.replace("_", "-")
    recent = {path for commit in line[-8:] for path in commit.files}
    pool = [path for path in plan.modules if path not in recent] or list(plan.modules)
    base = writer.main[-rng.randint(2, 4)]
    for path in rng.sample(pool, min(len(pool), rng.randint(1, 2))):
        text, function = words.fill(PLAIN[rng.randrange(3)])
        data = final[path].rstrip(b"\n") + b"\n\n\n" + text.encode()
        commit = Commit("feat", f"{function} to {Path(path).stem}", {path: data})
        base = writer.add(name, commit, [base])
    return [name] if pool else []


def _divided(writer: _Writer, plan: Layout, final: dict[str, bytes]) -> str:
    """Write the last commit of main and one beside it that cannot be merged; returns its branch."""
    ours, theirs = quarrel.sides(plan, final, writer.rng)
    name, base = f"docs/{writer.rng.choice(('wording', 'review', 'cleanup'))}", writer.tip
    writer.add(name, theirs, [base])
    writer.add("main", ours, [base])
    return name


class _Writer:
    """Collects commits as a fast-import stream; marks count from 1."""

    def __init__(self, root: Path, rng: Random, authors: list[Author]) -> None:
        self.root, self.rng, self.authors = root, rng, authors
        self.clock = int(datetime(2023, 1, 9, 8, tzinfo=UTC).timestamp())
        self.clock += rng.randrange(800) * 86_400
        self.marks = 0
        self.main: list[int] = []
        self.tip = 0
        self.topic_branch = ""
        self.refs: list[tuple[str, int]] = []
        self.stream = bytearray()

    def add(
        self, branch: str, commit: Commit, parents: list[int], passing: Random | None = None
    ) -> int:
        """Write one commit on a branch; returns its mark.

        Who deletes and when is drawn from `passing`, so that all other commits stay the same."""
        rng = passing if passing and commit.removed else self.rng
        self.clock += rng.randrange(40 * 60, 12 * 86_400)
        author = rng.choice(self.authors)
        message = commit.message
        if not message:
            message = subject(author, commit.kind, commit.topic, self.rng)
            more = body(self.rng)
            message += f"\n\n{more}" if more else ""
        self.marks += 1
        text = f"{message}\n".encode()
        who = f"{author.name} <{author.email}> {self.clock} {author.zone}\n"
        head = f"commit refs/heads/{branch}\nmark :{self.marks}\nauthor {who}committer {who}"
        self.stream += head.encode() + b"data %d\n%s" % (len(text), text)
        for number, parent in enumerate(parents):
            self.stream += b"%s :%d\n" % (b"merge" if number else b"from", parent)
        for path, data in sorted(commit.files.items()):
            mode = b"100755" if os.access(self.root / path, os.X_OK) else b"100644"
            self.stream += b"M %s inline %s\ndata %d\n%s\n" % (mode, path.encode(), len(data), data)
        for path in commit.removed:
            self.stream += b"D %s\n" % path.encode()
        if branch == "main":
            self.tip = self.marks
            self.main.append(self.marks)
        return self.marks

    def run(self, owner: Author) -> None:
        """Make the repository, import the stream, check out `main`; `owner` is its local user."""
        for ref, mark in self.refs:
            self.stream += f"reset {ref}\nfrom :{mark}\n\n".encode()
        git(self.root, "init", "-q", "-b", "main", "--template=")
        settings = {"core.autocrlf": "false", "user.name": owner.name, "user.email": owner.email}
        if any(ref.startswith("refs/remotes/") for ref, _ in self.refs):
            settings |= {
                "remote.origin.url": f"../{self.root.name}.git",
                "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*",
                "branch.main.remote": "origin",
                "branch.main.merge": "refs/heads/main",
            }
        for key, value in settings.items():
            git(self.root, "config", key, value)
        git(self.root, "fast-import", "--quiet", "--done", stdin=bytes(self.stream) + b"done\n")
        git(self.root, "reset", "-q", "--hard", "main")
