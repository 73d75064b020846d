"""Bad input to the command line: a status, a message with a way out, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from typing import Any

import pytest

from programs import program
from repos import snapshot, write
from workbench import Bench

BAD: dict[str, tuple[list[str], dict[str, Any], int, str]] = {
    "a file that is no text": (
        ["call", "read_file", "path=latin.py"],
        {},
        1,
        r"'latin.py' cannot be shown: it is not UTF-8 text \(byte 3\)",
    ),
    "a link to nowhere": (
        ["call", "read_file", "path=dead.py"],
        {},
        1,
        r"'dead.py' cannot be read, it leads to 'nowhere.py': No such file",
    ),
    "a pipe": (["call", "read_file", "path=pipe"], {}, 1, "'pipe' is no regular file"),
    "a folder": (["call", "read_file", "path=shop"], {}, 1, "'shop' is a folder: give a file"),
    "a path outside": (
        ["call", "read_file", "path=../replies.json"],
        {},
        1,
        "'../replies.json' leads outside the workspace",
    ),
    "a misspelled path": (
        ["call", "read_file", "path=shop/order.py"],
        {},
        1,
        r"no file or folder 'shop/order.py' in the workspace; did you mean 'shop/orders.py'",
    ),
    "no language server": (
        ["call", "find_references", "symbol=Order"],
        {"PUNIE_LANGUAGE_SERVER": "/nonexistent"},
        1,
        r"'/nonexistent'.*correct the setting `language_server` or run `pip install ty`",
    ),
    "a language server that ends at once": (
        ["call", "find_references", "symbol=Order"],
        {"PUNIE_LANGUAGE_SERVER": "true"},
        1,
        "language server 'true' failed twice: .*run it by hand to see why",
    ),
    "no language server, in a program": (
        ["ask", "who?"],
        {
            "PUNIE_LANGUAGE_SERVER": "/nonexistent",
            "replies": [program("print(find_references(symbol='Order').reference_count)")],
        },
        1,
        "correct the setting `language_server`",
    ),
    "a program without end": (
        ["ask", "how?"],
        {
            "PUNIE_PROGRAM_SECONDS": "0.3",
            "PUNIE_REPAIRS": "0",
            "replies": [program("git_log()\nwhile True:\n    pass")],
        },
        1,
        r"computed longer than its limit of 0.3 s \(calls made: git_log\)",
    ),
    "output without end": (
        ["ask", "how?"],
        {
            "PUNIE_PROGRAM_SECONDS": "0.3",
            "PUNIE_OUTPUT_KB": "1",
            "PUNIE_REPAIRS": "0",
            "replies": [program("while True:\n    print('a' * 99)")],
        },
        1,
        "it printed more than its limit of 1 kB",
    ),
    "a forbidden module": (
        ["ask", "how?"],
        {"PUNIE_REPAIRS": "0", "replies": [program("import subprocess\nsubprocess.run('ls')")]},
        1,
        "Cannot resolve imported module `subprocess` in `import subprocess`",
    ),
    "a program that is nonsense": (
        ["ask", "how?"],
        {"PUNIE_REPAIRS": "0", "replies": [program("%%% 漢 not python (((")]},
        1,
        "invalid-syntax: .* in `%%% 漢 not python",
    ),
    "an empty reply": (["ask", "how?"], {"replies": ["<|im_end|>"]}, 1, "ask in other words"),
    "a model without a reply": (["ask", "how?"], {"replies": []}, 1, "no reply for call 1"),
    "a model file that is none": (
        ["ask", "how?", "--model", "none.gguf"],
        {},
        4,
        "there is no model file 'none.gguf': check the path",
    ),
    "a model of no kind": (
        ["ask", "how?", "--model", "gpt"],
        {},
        2,
        "model 'gpt' is none of: default, release:NAME, FILE.gguf, MLX folder, "
        "http://host:port/v1#name, scripted:FILE",
    ),
    "a model server that is not there": (
        ["ask", "how?", "--model", "http://127.0.0.1:9/v1"],
        {},
        4,
        "no model server answers at http://127.0.0.1:9/v1 .*: start it, or choose another",
    ),
    "a setting that cannot be": (
        ["ask", "how?"],
        {"PUNIE_TOOL_CALLS": "many", "replies": ["x"]},
        2,
        r"settings cannot be used:\n  tool_calls: .*\nknown settings: model, ",
    ),
    "a batch file that is not there": (
        ["ask", "--json", "--batch", "none.txt"],
        {"replies": ["x"]},
        2,
        "batch file 'none.txt' cannot be read: .*No such file",
    ),
    "a batch file that is no text": (
        ["ask", "--json", "--batch", "latin.py"],
        {"replies": ["x"]},
        2,
        "batch file 'latin.py' cannot be read: ",
    ),
    "a batch that is not for programs": (
        ["ask", "--batch", "-"],
        {"replies": ["x"], "text": b"one\n"},
        2,
        "--batch prints JSON: add --json",
    ),
    "a program file that is not there": (
        ["exec", "none.py"],
        {},
        2,
        "program 'none.py' cannot be read: ",
    ),
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench whose workspace holds a Latin-1 file, a link to nowhere and a pipe."""
    bench = Bench(tmp_path_factory.mktemp("odd"))
    write(bench.root, {"latin.py": b"caf\xe9 = 1\n"})
    (bench.root / "dead.py").symlink_to("nowhere.py")
    return bench


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_with_a_way_out_and_leaves_nothing(odd: Bench, name: str) -> None:
    args, options, status, said = BAD[name]
    before = snapshot(odd.root)
    if name == "a pipe":
        os.mkfifo(odd.root / "pipe")
    ran = odd.punie(*args, **options)
    (odd.root / "pipe").unlink(missing_ok=True)
    shown = ran.out + ran.err
    assert ran.status == status, shown
    assert re.search(said, shown), shown
    assert "Traceback" not in shown
    assert "punie_" not in shown
    assert snapshot(odd.root) == before
    assert odd.left() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_named(odd: Bench) -> None:
    (odd.root / "secret.py").write_text("x = 1\n")
    (odd.root / "secret.py").chmod(0)
    ran = odd.punie("call", "read_file", "path=secret.py")
    (odd.root / "secret.py").unlink()
    assert ran == (1, "", "failed: 'secret.py' cannot be read: Permission denied\n")


def test_one_file_that_is_no_text_does_not_stop_the_type_check(odd: Bench) -> None:
    """ty ends with status 2 then: its whole report was once shown as a failure."""
    ran = odd.punie("call", "typecheck", "--json")
    assert ran.status == 0, ran.err
    found = {(e["file"], e["code"]) for e in json.loads(ran.out)["errors"]}
    assert ("latin.py", "io") in found
    assert "shop/pricing.py" in {file for file, _ in found}


def test_what_is_left_running_would_be_found(bench: Bench) -> None:
    with subprocess.Popen(["sleep", "20"], env=bench.env) as process:
        deadline = time.monotonic() + 5
        while not bench.left() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert bench.left() == [b"sleep\x0020\x00"]
        process.kill()
    assert bench.left() == []


def test_a_failure_is_one_line_on_standard_error_and_no_trace_of_python(bench: Bench) -> None:
    ran = bench.punie("ask", "how?", "--workspace", "nowhere", replies=["x"])
    assert ran == (
        2,
        "",
        "punie: workspace 'nowhere' does not exist: give a folder with --workspace\n",
    )
