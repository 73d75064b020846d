"""Measuring changes nothing: programs print in the sandbox what they print in CPython."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from pathlib import Path

import pytest

from punie import demo
from punie.instrument import instrument
from punie.sandbox import Outcome, Sandbox
from punie.tool import Result, load_tools
from repos import context

TOOLS = load_tools()
PROGRAMS = r"""
# --- sort
for f in sorted(git_status().files, key=lambda f: (f.staged, f.file)):
    print(f.file, f.status, sep=' | ')

# --- comprehensions
files = git_status().files
print({f.file: f.status for f in files})
print(sorted({f.status for f in files}), [f.file for f in files if not f.staged])
print(sum(1 for f in files if f.staged), any(f.staged for f in files))

# --- group
by = {}
for f in git_status().files:
    by.setdefault(f.status, []).append(f.file)
for status, names in sorted(by.items()):
    print(f'{status}: {len(names)}', *names)

# --- result
r = git_status()
print(r)
print(f'{r}'.count('M'))
print(len(str(r)))

# --- items
for f in git_status().files:
    print(f)
    print(str(f).split()[-1])

# --- star
print(*git_status().files, sep='\n', end='!\n')
print(*[1, 2], *'ab')

# --- repr
print(f'{git_status().files[1]!r}')
print(repr(git_status().files[0]), [f for f in git_status().files][:0])

# --- formats
r = git_status()
print(f'{r.file_count:03d}|{r.file_count!r:>5}|{r.clean!s:<7}|')
w = 12
print(f'{r.files[0].file:>{w + 10}}', f'{r.file_count=}', f'{{}}')

# --- percent
r = git_status()
print('%d of %s' % (r.file_count, r.clean))
print('{} {n:>4}'.format(r.file_count, n=r.clean))

# --- walrus
if (n := git_status().file_count) > 2:
    print(n, 'many')
print([y for f in git_status().files if (y := f.file.upper()).startswith('T')])

# --- chain
r = git_status()
print(1 < r.file_count <= 4 != len(r.files) + 1)
print(r.files[0].file.split('/')[-1].removesuffix('.py').title())

# --- functions
def names(items, *, upper=False):
    return [(i.file.upper() if upper else i.file) for i in items]
print(names(git_status().files, upper=True))
print(names(git_status().files)[-1])

# --- closures
def counter():
    count = 0
    def add(n):
        nonlocal count
        count += n
        return count
    return add
add = counter()
for f in git_status().files:
    add(len(f.file))
print(add(0))

# --- global
n = 0
def f():
    global n
    n += git_status().file_count
f()
f()
print(n)

# --- own class
class Note:
    line = 1
    def __init__(self, file, text='x'):
        self.file = file
        self.text = text
    def path(self):
        return self.file + self.text
n = Note('a')
n.text += 'y'
n.line = n.line + 1
print(n.file, n.path(), n.line, Note.line)

# --- modules
import datetime
import re
import json
import math
print(datetime.date(2024, 1, 2), re.sub('a', 'b', 'aa'), json.dumps({'a': [1, None]}))
for c in git_log().commits:
    print(datetime.datetime.fromisoformat(c.date).date())
print(math.floor(2.5))

# --- errors
try:
    git_status().files[99].file
except IndexError as error:
    print(error)
else:
    print('else')
finally:
    print('finally')
try:
    {}['x']
except (KeyError, ValueError) as error:
    print(repr(error))

# --- loops
for i, f in enumerate(git_status().files, 1):
    if i == 3:
        break
    print(i, f.file)
else:
    print('never')
n = 3
while n:
    n -= 1
    if n == 1:
        continue
    print(n)
else:
    print('end')

# --- match
for f in git_status().files:
    match f.status:
        case 'modified' if f.staged:
            print('index', f.file)
        case 'modified' | 'added':
            print(f.file)
        case _:
            print('?')

# --- unpack
first, *rest, last = git_status().files
print(first.file, len(rest), last.file)
a, (b, c) = 1, (2, 3)
print(a, b, c)
[x, y] = 'pq'
print(y, x)

# --- texts
print('''a
  b''', r'\n', 'tab\tend', 'ü漢😀', b'raw'.decode())
print()
print('a' 'b')
print(str(), str(5), str(b'x', 'utf-8'), str(None))

# --- evaluated once
n = []
def r():
    n.append(1)
    return git_status()
print(r().file_count, f'{r().clean}', str(r().truncated), len(n))

# --- order
log = []
def a(x):
    log.append(x)
    return x
print(a(1), a(2), sep=a(','), end=a('.\n'))
print(log)

# --- ternary
r = git_status()
print('clean' if r.clean else f'{r.file_count} changed')
print(r.parse_error or 'fine', r.success and r.files[0].staged, not r.truncated)

# --- assign
r = git_status()
r.file_count = 9
r.file_count += 1
print(r.file_count)

# --- slices
files = git_status().files
print([f.file for f in files[::-1]], files[1:2][0].file)
print(files[0] in files, files.index(files[1]), files[0] == files[0])

# --- two tools
for c in git_log(count=2).commits:
    print(c.author, c.message, c.files)
print(read_file('README.md').text.splitlines()[0])
print(read_file('README.md'), end='')

# --- failure
r = read_file('none.py')
if not r.success:
    print(r.parse_error)
print(r)

# --- deep
print((1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + 1)))))))))))))))

# --- lambda
pick = lambda f, n=2: f.file[:n]
print([pick(f) for f in git_status().files])
print((lambda *a, **k: (a, k))(1, b=2))

# --- names like fields
file = 'a'
line = [1]
files = {'file': file}
print(file, line, files['file'])
def status(text, message='m'):
    return text + message
print(status(text='t'))
"""
_PARTS = re.split("^# --- (.+)\\n", PROGRAMS, flags=re.MULTILINE)
SAME = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo repository; no test here changes it."""
    return demo.create(tmp_path_factory.mktemp("semantics") / "shop")


def in_cpython(program: str, results: list[Result]) -> str:
    """What a program prints in CPython, where its calls give these results in turn."""
    waiting = iter(results)
    answers = {name: lambda *args, **kwargs: next(waiting) for name in TOOLS}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "program", "exec"), answers)
    assert next(waiting, None) is None
    return printed.getvalue()


@pytest.mark.parametrize("name", SAME)
def test_a_measured_program_prints_what_it_prints_in_cpython(shop: Path, name: str) -> None:
    program = SAME[name]
    here = context(shop)

    async def main() -> Outcome:
        async with Sandbox(TOOLS.values(), here.settings) as sandbox:
            assert "punie_" in instrument(program, sandbox.fields).code
            return await sandbox.run(program, here)

    outcome = asyncio.run(main())
    assert outcome.error is None
    assert outcome.stdout
    assert outcome.stdout == in_cpython(program, outcome.results)
