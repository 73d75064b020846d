"""Odd repositories: one builder for each kind that people really have.

A builder gets an empty folder and returns the workspace to ask about. Programs that a
configuration of the zoo names write to `ran.log` beside the workspace: nobody may start them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from repos import commit, git, repository, write

Builder = Callable[[Path], Path]
ZOO: dict[str, Builder] = {}
REFUSALS = {
    "filter_needed": ("run the filter 'lfs' on 'big.x'",),
    "filters_at_rest": ("git blame",),
    "filter_with_an_odd_name": ("run the filter 'a=b.c' on 'big.x'",),
    "submodule_with_a_filter": ("run the filter 'inner' on 'x.dat'",),
    "partial_clone": ("objects that this partial clone has not fetched",),
}
"""What tools may refuse to say of some of them, as it stands in the reason."""
LINES = "".join(f"line {n}\n" for n in range(1, 41))
ODD = ["with space.py", 'quo"te.py', "new\nline.py", "tab\t.py", "back\\slash.py", "*.py", "ü.py"]
ODD += [" lead", "trail ", "-n", ":colon", "a => b", "{x}", "b/c d", "'q'"]
ODD += ["😀.py", "漢字.py", "\x01.py", "\x7f.py", "[a-z].py", "#x", "a\rb", "HEAD", "main", "i/b/a"]


def kind(builder: Builder) -> Builder:
    """Add a builder to the zoo."""
    ZOO[builder.__name__] = builder
    return builder


def start(folder: Path, files: dict[str, str | bytes] | None = None) -> Path:
    """A repository with a commit of some files, and those given."""
    base: dict[str, str | bytes] = {"a.py": LINES, "src/b.py": "b = 1\n", "src/c.py": "c = 1\n"}
    return repository(folder / "repo", base | (files or {}))


def program(folder: Path, name: str) -> str:
    """A program that leaves a mark and copies its input."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/ran.log"\ncat\n')
    path.chmod(0o755)
    return str(path)


def edit(root: Path, name: str, *lines: int, text: str = "changed\n") -> None:
    """Replace lines of a file, 1-based."""
    old = (root / name).read_text().splitlines(keepends=True)
    for number in lines:
        old[number - 1] = text
    (root / name).write_text("".join(old))


def later(root: Path, *names: str) -> None:
    """Give files another time stamp."""
    for name in names:
        os.utime(root / name, (2_000_000_000, 2_000_000_000), follow_symlinks=False)


def config(root: Path, **values: str) -> None:
    """Settings of a repository; `__` stands for the dot."""
    for name, value in values.items():
        git(root, "config", name.replace("__", "."), value)


@kind
def no_commits(folder: Path) -> Path:
    return repository(folder / "repo")


@kind
def no_commits_yet_files(folder: Path) -> Path:
    root = repository(folder / "repo")
    write(root, {"a.py": "1\n", "b.py": "2\n", "d/c.py": "3\n"})
    git(root, "add", "a.py", "b.py")
    write(root, {"b.py": "2\n3\n"})
    return root


@kind
def orphan_branch(folder: Path) -> Path:
    root = start(folder)
    git(root, "checkout", "--quiet", "--orphan", "fresh")
    return root


@kind
def clean(folder: Path) -> Path:
    return start(folder)


@kind
def detached(folder: Path) -> Path:
    root = start(folder)
    commit(root, {"a.py": "1\n"}, "Second")
    git(root, "checkout", "--quiet", "--detach", "HEAD~1")
    write(root, {"src/b.py": "b = 2\n"})
    return root


def fork(folder: Path) -> Path:
    """Two branches that cannot be merged: changed in both, deleted in one, added in both."""
    root = start(folder, {"only.py": "1\n", "gone.py": "1\n"})
    git(root, "checkout", "--quiet", "-b", "side")
    git(root, "rm", "--quiet", "src/b.py")
    git(root, "mv", "src/c.py", "src/side.py")
    commit(root, {"a.py": "side\n", "new.py": "side\n", "only.py": "2\n", "gone.py": "2\n"}, "Side")
    git(root, "checkout", "--quiet", "main")
    git(root, "rm", "--quiet", "gone.py")
    git(root, "mv", "src/c.py", "src/main.py")
    commit(root, {"a.py": "main\n", "src/b.py": "b = 9\n", "new.py": "main\n"}, "Main")
    return root


@kind
def merge_conflict(folder: Path) -> Path:
    root = fork(folder)
    git(root, "merge", "side", check=False)
    return root


@kind
def rebase_conflict(folder: Path) -> Path:
    root = fork(folder)
    git(root, "checkout", "--quiet", "side")
    git(root, "rebase", "main", check=False)
    return root


@kind
def cherry_pick_conflict(folder: Path) -> Path:
    root = fork(folder)
    git(root, "cherry-pick", "side", check=False)
    write(root, {"a.py": "resolved\n", "untracked.py": ""})
    git(root, "add", "a.py")
    return root


@kind
def stash_conflict(folder: Path) -> Path:
    root = start(folder)
    edit(root, "a.py", 2)
    git(root, "stash", "--quiet")
    edit(root, "a.py", 2, text="other\n")
    git(root, "commit", "--quiet", "--all", "--message", "Other")
    git(root, "stash", "pop", check=False)
    return root


@kind
def renames(folder: Path) -> Path:
    root = start(folder, {"long.py": LINES.upper()})
    git(root, "mv", "a.py", "z.py")
    commit(root, {}, "Move")
    git(root, "mv", "long.py", "src/moved.py")
    edit(root, "src/moved.py", 5)
    git(root, "add", "--all")
    edit(root, "src/moved.py", 7)
    return root


@kind
def swapped_files(folder: Path) -> Path:
    root = start(folder, {"x.py": LINES.upper()})
    (root / "x.py").rename(root / "t")
    (root / "a.py").rename(root / "x.py")
    (root / "t").rename(root / "a.py")
    git(root, "add", "--all")
    return root


@kind
def copies(folder: Path) -> Path:
    root = start(folder)
    config(root, diff__renames="copies")
    write(root, {"copy.py": LINES, "a.py": LINES + "more\n"})
    git(root, "add", "--all")
    return root


@kind
def renames_switched_off(folder: Path) -> Path:
    root = start(folder)
    config(root, diff__renames="false", status__renames="false")
    git(root, "mv", "a.py", "z.py")
    return root


@kind
def intent_to_add(folder: Path) -> Path:
    root = start(folder)
    write(root, {"new.py": "1\n", "empty.py": ""})
    git(root, "add", "--intent-to-add", "new.py", "empty.py")
    return root


@kind
def moved_with_intent_to_add(folder: Path) -> Path:
    root = start(folder)
    (root / "a.py").rename(root / "z.py")
    git(root, "add", "--intent-to-add", "z.py")
    return root


@kind
def modes(folder: Path) -> Path:
    root = start(folder)
    (root / "a.py").chmod(0o755)
    git(root, "add", "a.py")
    (root / "src/b.py").chmod(0o755)
    return root


@kind
def types(folder: Path) -> Path:
    root = start(folder, {"one": "x\n", "two": "y\n"})
    (root / "link").symlink_to("a.py")
    commit(root, {}, "Link")
    for name in ("one", "two"):
        (root / name).unlink()
        (root / name).symlink_to("src")
        if name == "one":
            git(root, "add", "one")
    (root / "link").unlink()
    write(root, {"link": "text\n"})
    (root / "broken").symlink_to("nowhere")
    return root


@kind
def every_pair_of_states(folder: Path) -> Path:
    names = [f"{a}{b}.py" for a in "MRD_" for b in "MD_"]
    root = start(folder, {name: f"{name}\n{LINES}" for name in names})
    for name in names:
        if name[0] == "M":
            edit(root, name, 3, text="staged\n")
        elif name[0] == "D":
            (root / name).unlink()
        elif name[0] == "R":
            (root / name).rename(root / f"new{name}")
    write(root, {"AM.py": "1\n", "AD.py": "2\n", "A_.py": "3\n"})
    git(root, "add", "--all")
    for name in names + ["AM.py", "AD.py"]:
        place = root / (f"new{name}" if name[0] == "R" else name)
        if name[1] == "M":
            place.write_text("tree\n")
        elif name[1] == "D":
            place.unlink(missing_ok=True)
    return root


@kind
def binaries(folder: Path) -> Path:
    root = start(folder, {"bin": b"\0\1\2", "gone": b"\0", "renamed": bytes(range(256)) * 9})
    git(root, "mv", "renamed", "moved")
    write(root, {"bin": b"\0\3", "new": b"\0\0", "moved": bytes(range(256)) * 9 + b"\0"})
    (root / "gone").unlink()
    git(root, "add", "--all")
    write(root, {"bin": b"\0\4", "a.py": b"text\0with nul\n", "src/b.py": "b = 2\n"})
    return root


@kind
def declared_binary_and_text(folder: Path) -> Path:
    root = start(folder, {".gitattributes": "*.py binary\n*.dat diff\n", "x.dat": b"a\0b\n"})
    write(root, {"a.py": "1\n", "x.dat": b"a\0c\n\0\0d\n"})
    return root


@kind
def odd_names(folder: Path) -> Path:
    root = start(folder, dict.fromkeys(ODD, "1\n"))
    write(root, dict.fromkeys(ODD, "1\n2\n"))
    git(root, "add", "--all", "--", *(f"./{name}" for name in ODD[::2]))
    write(root, {f"new {name}": "" for name in ODD if "/" not in name})
    git(root, "mv", "./ lead", "moved\tlead")
    return root


@kind
def names_that_are_no_text(folder: Path) -> Path:
    root = start(folder)
    names = [b"caf\xe9.py", b"\xff\xfe", b"d\xe9/x.py", b"ok\xc3\xa9.py"]
    for name in names:
        path = Path(os.fsdecode(os.fsencode(root) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"1\n")
    commit(root, {}, "Bytes")
    for name in names[:3]:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(b"2\n")
    git(root, "mv", os.fsdecode(names[3]), os.fsdecode(b"moved\xe9.py"))
    return root


@kind
def workspace_below(folder: Path) -> Path:
    root = start(folder)
    commit(root, {"a.py": "a\n", "src/b.py": "b = 2\n", "src/deep/x.py": LINES}, "Both")
    commit(root, {"a.py": "aa\n"}, "Above")
    git(root, "mv", "a.py", "src/a.py")
    git(root, "mv", "src/deep/x.py", "x.py")
    write(root, {"src/b.py": "b = 3\n", "src/new.py": "", "above.py": ""})
    return root / "src"


@kind
def workspace_below_with_an_odd_name(folder: Path) -> Path:
    root = start(folder, {"new\nline ü/x.py": "1\n"})
    write(root, {"new\nline ü/x.py": "2\n", "new\nline ü/y.py": "", "a.py": ""})
    return root / "new\nline ü"


@kind
def touched_only(folder: Path) -> Path:
    root = start(folder)
    later(root, "a.py", "src/b.py")
    return root


@kind
def no_newline_at_the_end(folder: Path) -> Path:
    root = start(folder, {"x": "1\n2", "y": "1\n"})
    write(root, {"x": "1\n2\n", "y": "1", "a.py": LINES.rstrip()})
    return root


@kind
def line_ends(folder: Path) -> Path:
    root = start(
        folder, {"crlf.py": "a\r\nb\r\nc\r\n", "cr.py": "a\rb\rc", "mixed": "a\nb\r\n\fc\n"}
    )
    config(root, core__autocrlf="true")
    write(root, {"crlf.py": "a\r\nB\r\nc\r\n", "cr.py": "a\rB\rc", "a.py": "x\r\ny\r\n"})
    return root


@kind
def eol_attributes(folder: Path) -> Path:
    files: dict[str, str | bytes] = {".gitattributes": "*.txt text eol=crlf\n", "x.txt": "a\nb\n"}
    root = start(folder, files)
    write(root, {"x.txt": "a\r\nb\r\n"})
    later(root, "x.txt")
    return root


@kind
def other_encodings(folder: Path) -> Path:
    latin, wide = "ä\nö\n".encode("latin-1"), "a\nb\n".encode("utf-16")
    root = start(folder, {"latin.py": latin, "wide.py": wide, "empty.py": "", "nul": b"a\nb\0c\n"})
    write(root, {"latin.py": latin + b"\xff\n", "wide.py": "a\nc\n".encode("utf-16")})
    return root


@kind
def long_lines_and_many(folder: Path) -> Path:
    root = start(folder, {"long.py": "x" * 100_000 + "\n", "many.py": LINES * 25})
    write(root, {"long.py": "y" * 100_000 + "\n", "many.py": LINES.upper() * 25})
    return root


@kind
def lines_that_look_like_git(folder: Path) -> Path:
    text = (
        "diff --git a/a.py b/a.py\n--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\nBinary files a and b differ\n"
    )
    root = start(folder, {"patch": LINES + text + LINES})
    write(root, {"patch": LINES + text + "\n" + text + LINES, "a.py": text})
    return root


@kind
def ignored_files(folder: Path) -> Path:
    root = start(folder, {".gitignore": "*.log\nbuild/\n", "tracked.txt": "1\n"})
    write(root, {"x.log": "", "build/x.py": "", "src/new.py": "", ".git/info/exclude": "*.tmp\n"})
    write(root, {"y.tmp": "", ".gitignore": "*.log\nbuild/\ntracked.txt\n", "tracked.txt": "2\n"})
    return root


@kind
def hidden_by_the_user(folder: Path) -> Path:
    root = start(folder, {"x.py": "1\n"})
    git(root, "update-index", "--assume-unchanged", "a.py")
    git(root, "update-index", "--skip-worktree", "src/b.py")
    write(root, {"a.py": "1\n", "src/b.py": "2\n", "x.py": "3\n"})
    return root


@kind
def thousands_untracked(folder: Path) -> Path:
    root = start(folder)
    write(root, {f"new/{n % 50}/n{n}.py": "" for n in range(50_000)})
    return root
