"""The second way of the git tools: other commands and formats of git, taken apart by themselves."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from punie.factory.examples.comparison import Facts, Like
from punie.factory.examples.inventory import Inventory
from punie.workspace import child_environment

MOST = 200
"""Items that the lists of git tools hold."""
HUNKS = 44_800
"""Characters of hunks that a result holds, 700 for each of 64 kB of output."""
LONG = 1000
"""Characters of a blamed line that is not cut."""
WORDS = {"M": "modified", "A": "added", "D": "deleted", "R": "renamed", "C": "copied"}
WORDS |= {"T": "type_changed", "U": "conflicted", "?": "untracked"}


def status(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """From `git status --porcelain=v1`: first what is whole, then conflicts, then untracked."""
    options = ["--porcelain=v1", "-z", "--untracked-files=all", "--find-renames"]
    fields = iter(_git(inventory, "status", *options, *_below(args)).split("\0")[:-1])
    groups: tuple[list[Facts], list[Facts], list[Facts]] = ([], [], [])
    for entry in fields:
        index, tree, name = entry[0], entry[1], entry[3:]
        old = next(fields) if index in "RC" or tree in "RC" else ""
        item = {"file": name, "staged": False, "old_file": ""}
        if entry[:2] == "??":
            groups[2].append(item | {"status": "untracked"})
        elif "U" in entry[:2] or entry[:2] in ("AA", "DD"):
            groups[1].append(item | {"status": "conflicted"})
        else:
            for letter, staged in ((index, True), (tree, False)):
                if letter != " ":
                    former = old if letter in "RC" else ""
                    more = {"status": WORDS[letter], "staged": staged, "old_file": former}
                    groups[0].append(item | more)
    files = [item for group in groups for item in group]
    return {
        "clean": not files,
        "file_count": len({item["file"] for item in files}),
        "files": files[:MOST],
        "truncated": len(files) > MOST,
    }


def diff(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """From `git diff` by names, by numbers and as a patch, each asked for by itself."""
    which = ["--cached"] if args.get("staged") else ["--ours"]
    return {"file_count": 0} | _changed(inventory, which, _below(args))


def _changed(inventory: Inventory, which: list[str], below: list[str]) -> Facts:
    base = ["diff", "--find-renames", "--no-ext-diff", "--no-textconv", "--no-color", *which]
    tokens = iter(_git(inventory, *base, "--name-status", "-z", *below).split("\0")[:-1])
    letters: dict[str, tuple[str, str]] = {}
    for token in tokens:
        old = next(tokens)
        name = next(tokens) if token[0] in "RC" else old
        letters.setdefault(name, (token[0], old if name != old else ""))
    numbers: dict[str, tuple[int, int]] = {}
    tokens = iter(_git(inventory, *base, "--numstat", "-z", *below).split("\0")[:-1])
    for token in tokens:
        added, deleted, name = token.split("\t", 2)
        if not name:  # a rename: its two names come by themselves
            name = next(tokens) and next(tokens)
        before = numbers.get(name, (0, 0))
        counts = [int(n) if n != "-" else 0 for n in (added, deleted)]
        numbers[name] = before[0] + counts[0], before[1] + counts[1]
    hunks = _hunks(_git(inventory, *base, "-U3", *below), letters)
    files = [
        {"file": name, "status": WORDS[letter], "old_file": old}
        | dict(zip(("additions", "deletions"), numbers.get(name, (0, 0)), strict=True))
        | {"hunks": hunks.get(name, [])}
        for name, (letter, old) in letters.items()
    ]
    shown = files[:MOST]
    cut = _fit(shown)
    return {
        "file_count": len(files),
        "additions": sum(n for n, _ in numbers.values()),
        "deletions": sum(n for _, n in numbers.values()),
        "files": shown,
        "truncated": cut or len(files) > MOST,
    }


def _hunks(patch: str, names: dict[str, tuple[str, str]]) -> dict[str, list[str]]:
    """Hunks by file. A patch's parts begin with `diff --git`, as no line of a hunk can."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^diff --git ", patch, flags=re.MULTILINE)[1:]:
        head, *hunks = re.split(r"^(?=@@ -)", part, flags=re.MULTILINE)
        first = head.split("\n", 1)[0]
        fitting = [n for n in names if first == f"a/{names[n][1] or n} b/{n}"]
        if not fitting:
            continue
        lines = [[line for line in h.split("\n") if line[:1] in "@ +-\\" and line] for h in hunks]
        texts = ["\n".join(each) for each in lines]
        if re.search(r"^Binary files .* differ$", head, re.MULTILINE):
            texts = ["Binary files differ"]
        found.setdefault(fitting[0], []).extend(texts)
    return found


def _fit(files: list[Facts]) -> bool:
    """What does not fit any more is left out; the one that is cut itself is known by its ends."""
    room, cut = HUNKS, False
    for item in files:
        kept: list[str | Like] = []
        for hunk in item["hunks"]:
            if room > 0:
                kept.append(hunk if len(hunk.encode()) <= room else cut_text(hunk))
            cut = cut or len(hunk) > room
            room -= len(hunk)
        item["hunks"] = kept
        if any(isinstance(each, Like) for each in kept):
            wanted = list(kept)
            item["hunks"] = Like(lambda o, w=wanted: _fitting(o, w), f"{len(kept)} hunks")  # type: ignore[misc]
    return cut


def _fitting(ours: list[str], wanted: list[Any]) -> bool:
    return len(ours) == len(wanted) and all(
        w.agrees(o) if isinstance(w, Like) else w == o for o, w in zip(ours, wanted, strict=True)
    )


def cut_text(text: str) -> Like:
    """A text of which the middle is left out: it begins and ends as the whole does."""

    def agrees(ours: str) -> bool:
        parts = re.split(r"\n?… \[\d+ characters cut\] …\n?", ours)
        return len(parts) == 2 and text.startswith(parts[0]) and text.endswith(parts[1])

    return Like(agrees, f"the ends of {len(text)} characters")


@lru_cache(maxsize=2)
def commits(inventory: Inventory) -> dict[str, Facts]:
    """Every commit by its hash, from one log of all branches; `git diff-tree` for its files."""
    form = "--format=%x02%H%x00%P%x00%an%x00%ae%x00%aI%x00%s%x00%b"
    found: dict[str, Facts] = {}
    asked = []
    for record in _git(inventory, "log", "--all", "HEAD", form).split("\2")[1:]:
        sha, parents, author, email, date, subject, body = record.split("\0")
        asked.append(" ".join([sha, *parents.split()[:1]]))
        found[sha] = {"hash": sha, "message": subject, "body": body.strip("\n"), "author": author}
        found[sha] |= {"email": email, "date": date.replace("Z", "+00:00"), "files": []}
        found[sha]["parent"] = parents.partition(" ")[0]
    command = ["diff-tree", "--stdin", "-r", "--root", "--find-renames", "--name-only"]
    current: list[str] = []
    for line in _git(inventory, *command, stdin="\n".join(asked) + "\n").splitlines():
        if line in found:
            current = found[line]["files"]
        else:
            current.append(line)
    return found


def log(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """Which commits from `git rev-list`, what they say from a log of all branches."""
    count = args.get("count", 10)
    most = min(count or MOST, MOST)
    known = commits(inventory)
    listed = _git(inventory, "rev-list", "HEAD", *_below(args)).split()
    total = min(len(listed), count or len(listed))
    chosen = [{k: v for k, v in known[sha].items() if k != "parent"} for sha in listed[:most]]
    cut = total > most or any(len(c["files"]) > MOST for c in chosen)
    chosen = [c | {"files": c["files"][:MOST]} for c in chosen]
    return {"commits": chosen, "commit_count": total, "truncated": cut}


def show(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """The commit from a log of all branches, its changes from `git diff` with its parent."""
    name = args["commit"] + "^{commit}"
    sha = _git(inventory, "rev-parse", "--verify", "--end-of-options", name).strip()
    about = dict(commits(inventory)[sha])
    del about["files"]
    empty = _git(inventory, "hash-object", "-t", "tree", "/dev/null").strip()
    changes = _changed(inventory, [about.pop("parent") or empty, sha], ["--"])
    return {k: v for k, v in (changes | about).items() if k != "file_count"}


def blame(inventory: Inventory, args: dict[str, Any]) -> Facts:
    """From the whole file's `git blame --line-porcelain`; the range is taken afterwards."""
    lines: list[Facts] = []
    about: dict[str, str] = {}
    for row in _git(inventory, "blame", "--line-porcelain", "--", args["path"]).split("\n")[:-1]:
        word, _, rest = row.partition(" ")
        if row.startswith("\t"):
            text = row[1:].removesuffix("\r")
            item: Facts = {"line": int(about["line"]), "hash": about["sha"]}
            item |= {"author": about["author"], "text": text, "date": _date(about)}
            if len(text.encode()) > LONG:
                item["text"] = cut_text(text)
            lines.append(item)
        elif re.fullmatch(r"[0-9a-f]{40,64}", word):
            about = {"sha": word, "line": rest.split()[1]}
        else:
            about[word] = rest
    first = args.get("start_line") or 1
    last = args.get("end_line") or len(lines)
    chosen = [item for item in lines if first <= item["line"] <= last]
    shown = chosen[:MOST]
    cut = any(isinstance(item["text"], Like) for item in shown)
    return {"lines": shown, "truncated": cut or len(chosen) > MOST}


def _date(about: dict[str, str]) -> str | Like:
    """Author's date; that of a line that is not committed is the moment of asking."""
    seconds, zone = int(about["author-time"]), about["author-tz"]
    if not about["sha"].strip("0"):

        def near(ours: str) -> bool:
            return abs(datetime.fromisoformat(ours).timestamp() - seconds) < 86_400

        return Like(near, "a time of today")
    sign = -1 if zone[0] == "-" else 1
    away = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    return datetime.fromtimestamp(seconds, timezone(away)).isoformat()


def branch(inventory: Inventory, _: dict[str, Any]) -> Facts:
    """From `git show-ref`, `symbolic-ref`, `config`, and `rev-list --left-right`."""
    head = _git(inventory, "symbolic-ref", "--quiet", "HEAD", also=1).strip()
    current = head.removeprefix("refs/heads/")
    known, found = commits(inventory), []
    for row in _git(inventory, "show-ref", "--heads", also=1).splitlines():
        sha, ref = row.split(" ", 1)
        name = ref.removeprefix("refs/heads/")
        item: Facts = {"name": name, "current": name == current, "hash": sha}
        item |= {"message": known[sha]["message"], "date": known[sha]["date"]}
        sides, upstream = (0, 0), ""
        there = _git(inventory, "rev-parse", "--symbolic-full-name", f"{name}@{{u}}", also=128)
        if there.startswith("refs/"):
            upstream = re.sub("^refs/(heads|remotes)/", "", there.strip())
            counted = ["--left-right", "--count", f"{ref}...{there.strip()}"]
            ahead, behind = _git(inventory, "rev-list", *counted).split()
            sides = int(ahead), int(behind)
        item |= {"upstream": upstream, "ahead": sides[0], "behind": sides[1]}
        found.append(item)
    facts: Facts = {"current": current, "truncated": len(found) > MOST}
    return facts | ({"branches": found} if len(found) <= MOST else {})


def _below(args: dict[str, Any]) -> list[str]:
    path = args.get("path", ".").rstrip("/") or "."
    return ["--", path] if path != "." else ["--"]


def _git(inventory: Inventory, *args: str, stdin: str = "", also: int = 0) -> str:
    """What git writes; raises `CalledProcessError` for another status than 0 and `also`."""
    done = subprocess.run(
        ["git", "--literal-pathspecs", "-c", "core.quotepath=off", *args],
        cwd=inventory.root,
        env=child_environment(),
        input=stdin.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode not in (0, also):
        done.check_returncode()
    return done.stdout.decode("utf-8", "replace")
