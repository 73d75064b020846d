"""The zoo's repositories with unusual set-ups: configuration, submodules, worktrees, histories."""

from __future__ import annotations

import os
from pathlib import Path

from repos import commit, git, repository, write
from zoo import LINES, config, edit, kind, later, merge_conflict, program, start


def fast(root: Path, text: str | bytes) -> None:
    """Commits that no command would make, through `fast-import`."""
    git(root, "fast-import", "--quiet", stdin=text.encode() if isinstance(text, str) else text)
    git(root, "reset", "--quiet", "--hard")


def raw_commit(root: Path, author: bytes, message: bytes, extra: bytes = b"") -> None:
    """A commit object with any bytes, of what is in the index, on top of HEAD."""
    tree, parent = git(root, "write-tree").strip(), git(root, "rev-parse", "HEAD").strip()
    text = b"tree %s\nparent %s\nauthor %s\ncommitter C <c@x> 1714550400 +0000\n%s\n%s" % (
        *(tree, parent, author, extra, message),
    )
    sha = git(root, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=text)
    git(root, "update-ref", "HEAD", sha.decode().strip())


@kind
def hostile_settings(folder: Path) -> Path:
    root = start(folder)
    commit(root, {"src/b.py": "b = 'ü'\n", "ü.py": "1\n"}, "Sübject")
    spy = program(folder, "spy")
    for name, value in {
        **{"diff.noprefix": "true", "diff.mnemonicPrefix": "true", "diff.context": "0"},
        **{"diff.external": spy, "diff.suppressBlankEmpty": "true", "diff.relative": "true"},
        **{"diff.orderFile": "nowhere", "color.ui": "always", "color.diff": "always"},
        **{"core.pager": spy, "pager.log": spy, "pager.status": spy, "pager.diff": spy},
        **{"log.showSignature": "true", "gpg.program": spy, "log.date": "relative"},
        **{"format.pretty": "oneline", "status.short": "true", "status.branch": "true"},
        **{"status.showUntrackedFiles": "no", "core.fsmonitor": spy, "log.follow": "true"},
        **{"log.showRoot": "false", "log.abbrevCommit": "true", "log.decorate": "full"},
        **{"diff.submodule": "log", "diff.wordRegex": ".", "diff.colorMoved": "zebra"},
        **{"diff.interHunkContext": "9", "diff.srcPrefix": "x/", "core.quotepath": "true"},
        **{"blame.showEmail": "true", "blame.date": "relative", "blame.coloring": "repeatedLines"},
        **{"log.diffMerges": "combined", "core.abbrev": "5", "diff.ignoreSubmodules": "none"},
        **{"core.editor": spy, "core.sshCommand": spy, "credential.helper": spy},
        **{"i18n.logOutputEncoding": "latin1", "column.ui": "always", "branch.sort": "-HEAD"},
    }.items():
        git(root, "config", name, value)
    write(root, {"a.py": LINES.replace("line 5\n", "\n"), "new.py": "", "ü.py": "2\n"})
    return root


@kind
def filters_at_rest(folder: Path) -> Path:
    root = start(folder, {".gitattributes": "*.x filter=lfs diff=lfs\n", "big.x": "pointer\n"})
    os.utime(root / "big.x", (1, 1))  # else it may have changed since the index was written
    git(root, "update-index", "--refresh")
    spy = program(folder, "spy")
    config(root, filter__lfs__clean=spy, filter__lfs__process=spy, filter__lfs__smudge=spy)
    config(root, diff__lfs__textconv=spy, diff__lfs__command=spy)
    write(root, {"src/b.py": "b = 2\n", "new.x": "new\n"})
    return root


@kind
def filter_needed(folder: Path) -> Path:
    root = filters_at_rest(folder)
    later(root, "big.x")
    return root


@kind
def filter_with_an_odd_name(folder: Path) -> Path:
    root = start(folder, {".gitattributes": "*.x filter=a=b.c\n", "big.x": "pointer\n"})
    git(root, "config", "filter.a=b.c.clean", program(folder, "spy"))
    write(root, {"big.x": "POINTER\n"})
    later(root, "big.x")
    return root


def upstream(folder: Path) -> Path:
    return repository(folder / "upstream", {"lib.py": LINES, "x.dat": "1\n"})


def with_submodule(folder: Path) -> Path:
    up, root = upstream(folder), start(folder)
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(up), "the sub")
    commit(root, {}, "Submodule")
    return root


@kind
def submodule(folder: Path) -> Path:
    return with_submodule(folder)


@kind
def submodule_moved(folder: Path) -> Path:
    root = with_submodule(folder)
    commit(root / "the sub", {"lib.py": "new\n"}, "Inside")
    return root


@kind
def submodule_moved_and_staged(folder: Path) -> Path:
    root = submodule_moved(folder)
    git(root, "add", "the sub")
    write(root, {"the sub/lib.py": "newer\n", "the sub/untracked.py": ""})
    return root


@kind
def submodule_with_untracked_files(folder: Path) -> Path:
    root = with_submodule(folder)
    write(root, {"the sub/untracked.py": ""})
    return root


@kind
def submodule_not_there(folder: Path) -> Path:
    with_submodule(folder)
    git(folder, "clone", "--quiet", "repo", "copy")
    return folder / "copy"


@kind
def submodule_with_a_filter(folder: Path) -> Path:
    root = with_submodule(folder)
    write(root, {".git/modules/the sub/info/attributes": "*.dat filter=inner\n"})
    git(root / "the sub", "config", "filter.inner.clean", program(folder, "spy"))
    later(root, "the sub/x.dat")
    return root


@kind
def workspace_is_a_submodule(folder: Path) -> Path:
    root = with_submodule(folder) / "the sub"
    edit(root, "lib.py", 3)
    return root


@kind
def link_to_a_repository_without_gitmodules(folder: Path) -> Path:
    root = start(folder)
    repository(root / "inner", {"x.py": "1\n"})
    commit(root, {}, "Embedded")
    write(root, {"inner/x.py": "2\n"})
    return root


@kind
def repository_inside(folder: Path) -> Path:
    root = start(folder)
    repository(root / "inner", {"x.py": "1\n"})
    write(root, {"inner/x.py": "2\n", "src/b.py": "b = 2\n"})
    return root


@kind
def worktree(folder: Path) -> Path:
    root = start(folder)
    git(root, "worktree", "add", "--quiet", "-b", "other", str(folder / "tree"))
    write(folder / "tree", {"a.py": "1\n", "new.py": ""})
    write(root, {"src/b.py": "b = 2\n"})
    return folder / "tree"


@kind
def worktree_of_a_bare_repository(folder: Path) -> Path:
    start(folder)
    git(folder, "clone", "--quiet", "--bare", "repo", "bare.git")
    git(folder / "bare.git", "worktree", "add", "--quiet", str(folder / "tree"), "main")
    write(folder / "tree", {"src/c.py": "c = 2\n"})
    return folder / "tree"


@kind
def sparse(folder: Path) -> Path:
    root = start(folder, {f"d{n}/x.py": "1\n" for n in range(5)})
    git(root, "sparse-checkout", "set", "--cone", "--sparse-index", "src")
    write(root, {"src/b.py": "b = 2\n", "d1/new.py": "here\n"})
    return root


@kind
def split_index(folder: Path) -> Path:
    root = with_submodule(folder)
    git(root, "update-index", "--split-index")
    write(root, {"src/b.py": "b = 2\n", "the sub/lib.py": "dirty\n"})
    git(root, "add", "src/b.py")
    return root


@kind
def index_version_4(folder: Path) -> Path:
    root = with_submodule(folder)
    git(root, "update-index", "--index-version", "4")
    write(root, {"src/b.py": "b = 2\n", "the sub/lib.py": "dirty\n"})
    return root


@kind
def sha256(folder: Path) -> Path:
    root = folder / "repo"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    commit(root, {"a.py": LINES})
    edit(root, "a.py", 2)
    return root


@kind
def shallow(folder: Path) -> Path:
    root = start(folder)
    for n in range(4):
        commit(root, {"a.py": f"{n}\n"}, f"Number {n}")
    git(folder, "clone", "--quiet", "--depth=2", f"file://{root}", "copy")
    write(folder / "copy", {"a.py": "x\n"})
    return folder / "copy"


@kind
def partial_clone(folder: Path) -> Path:
    root = start(folder)
    commit(root, {"src/b.py": "b = 2\n"}, "Second")
    git(root, "mv", "a.py", "z.py")
    edit(root, "z.py", 3)
    git(root, "commit", "--quiet", "--all", "--message", "Move")
    config(root, uploadpack__allowFilter="true")
    git(folder, "clone", "--quiet", "--filter=blob:none", f"file://{root}", "copy")
    copy = folder / "copy"
    config(copy, remote__origin__uploadpack=program(folder, "spy"))
    write(copy, {"src/c.py": "c = 2\n"})
    return copy


@kind
def linked_git_folder(folder: Path) -> Path:
    root = start(folder)
    (root / ".git").rename(folder / "elsewhere")
    (root / ".git").symlink_to(folder / "elsewhere")
    write(root, {"a.py": "1\n"})
    return root


@kind
def odd_messages(folder: Path) -> Path:
    root = start(folder)
    who = b"Ada <ada@x> 1714550400 +0200"
    for message in (
        *(b"caf\xe9 raw\n\nbody \xff\xfe\n", b"", b"\n\n\n", b"//\n\n//\nfake", b"  lead \n"),
        *(b"two\nlines\n\nbody", b"no end", b"tab\there\n\n\n\n  indented\n\n\nend\n\n\n"),
        *(b"cr\r\nlf\r\n\r\nbody\r\n", "ü 漢 😀\n\n\u2028x\x0c\x85".encode()),
        *(b"x" * 3000, b"\x1b[31m"),
    ):
        raw_commit(root, who, message)
    raw_commit(root, b"J\xf6rg <j@x> 1 +0000", b"gr\xfc\xdfe\n\nb\xe4", b"encoding ISO-8859-1\n")
    raw_commit(root, who, b"unknown \xe4", b"encoding martian\n")
    return root


@kind
def odd_authors(folder: Path) -> Path:
    root = start(folder)
    for n, author in enumerate(
        (
            *(b"  <> 1714550400 +0000", b"A \"q\" 'x' <a@b c> 1714550400 +0000"),
            *(b"Tab\there <t@x> 1714550400 +0000", "漢字 <k@x> 1714550400 +0000".encode()),
            *(b"\xff\xfe <\xff> 1 +0000", b"Zero <z@x> 0 +0000", b"Far <z@x> 4102444800 +0000"),
            *(b"Nepal <z@x> 1714550400 +0545", b"West <z@x> 1714550400 -1130"),
            *(b"Minus <z@x> 1714550400 -0000", b"Odd <z@x> 5 +2359"),
        )
    ):
        write(root, {"a.py": f"{n}\n" + LINES})
        git(root, "add", "a.py")
        raw_commit(root, author, b"m\n")
    return root


@kind
def mailmap(folder: Path) -> Path:
    root = start(folder, {".mailmap": "Countess <c@x> <ada@example.org>\n"})
    edit(root, "a.py", 4)
    return root


@kind
def merges(folder: Path) -> Path:
    root = start(folder)
    for name in ("one", "two", "three"):
        git(root, "checkout", "--quiet", "-b", name, "main")
        commit(root, {f"{name}.py": "1\n"}, name)
    git(root, "checkout", "--quiet", "main")
    commit(root, {"a.py": "1\n"}, "Main")
    git(root, "merge", "--quiet", "--no-edit", "one", "two")
    git(root, "merge", "--quiet", "--no-edit", "--no-commit", "three")
    commit(root, {"evil.py": "neither side has it\n"}, "Evil merge")
    git(root, "checkout", "--quiet", "--orphan", "apart")
    git(root, "rm", "--quiet", "-rf", ".")
    commit(root, {"apart.py": "1\n"}, "Apart")
    git(root, "checkout", "--quiet", "main")
    git(root, "merge", "--quiet", "--no-edit", "--allow-unrelated-histories", "apart")
    commit(root, {}, "Nothing")
    return root


@kind
def long_history(folder: Path) -> Path:
    root = start(folder)
    one = "commit refs/heads/main\ncommitter A <a@x> 1714550400 +0200\ndata 5\nMore\n"
    fast(root, one + "from refs/heads/main^0\n" + one * 230)
    return root


@kind
def replaced_commit(folder: Path) -> Path:
    root = start(folder)
    other = commit(root, {"a.py": "1\n"}, "Second")
    third = commit(root, {"a.py": "2\n"}, "Third")
    git(root, "replace", third, other)
    return root


@kind
def branches(folder: Path) -> Path:
    root = start(folder)
    git(folder, "clone", "--quiet", "repo", "copy")
    copy = folder / "copy"
    for name in ("feature/x", "gone", "ü", "zeros"):
        git(copy, "checkout", "--quiet", "-b", name)
        commit(copy, {f"{len(name)}.py": name}, f"On {name}")
        if name != "zeros":
            git(copy, "push", "--quiet", "--set-upstream", "origin", name)
    git(root, "branch", "-D", "gone")
    git(copy, "fetch", "--quiet", "--prune")
    git(copy, "checkout", "--quiet", "feature/x")
    commit(copy, {"y.py": ""}, "Ahead")
    commit(root, {"z.py": ""}, "Behind")
    git(copy, "fetch", "--quiet")
    git(copy, "branch", "local", "main")
    git(copy, "branch", "--set-upstream-to=main", "local")
    git(copy, "tag", "main", "gone")
    git(copy, "pack-refs", "--all")
    return copy


@kind
def bisecting(folder: Path) -> Path:
    root = start(folder)
    for n in range(4):
        commit(root, {"a.py": f"{n}\n"}, f"Number {n}")
    git(root, "bisect", "start", "HEAD", "HEAD~4")
    return root


@kind
def ignored_revisions(folder: Path) -> Path:
    root = start(folder)
    sha = commit(root, {"a.py": LINES.replace("line", "Line")}, "Reformat")
    commit(root, {".git-blame-ignore-revs": f"{sha}\n"}, "Ignore it")
    config(root, blame__ignoreRevsFile=".git-blame-ignore-revs")
    return root


@kind
def conflict_below(folder: Path) -> Path:
    return merge_conflict(folder) / "src"
