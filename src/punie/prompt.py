"""The only place where text becomes a prompt, and where a model's reply becomes text again.

Training, validation and serving all call `render`; who holds a tokenizer turns the pieces into
token ids one by one: `control` pieces with special tokens recognised, all others with them off.
So text from users, files, tools or the model can spell `<|im_end|>` but never *be* that token. As
a second lock `render` cuts such text inside all that looks like a marker, because some
vocabularies hold markers that cannot be switched off. The text of a *system* message is Punie's
own and counts as control, so that it may show markup: never put anything else there.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple, NotRequired, TypedDict


class Message(TypedDict):
    """One turn. An assistant turn with `code` is a program and `content` its preamble or "";
    a tool turn is what a program printed, or the diagnostic that stopped it. `wrong` marks a
    failed program in a repair: the model sees it and is not trained on it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    code: NotRequired[str]
    wrong: NotRequired[bool]


class Piece(NamedTuple):
    """A stretch of prompt that is tokenized by itself. `control`: markup or system text, special
    tokens recognised; `trained`: part of a reply, counts in the loss."""

    text: str
    control: bool
    trained: bool


class Reply(NamedTuple):
    """A reply taken apart: `code` is "" for a direct answer, both are "" for an empty reply."""

    code: str
    content: str


@dataclass(frozen=True)
class Dialect:
    """How turns, programs and outputs are marked for one family of models."""

    name: str
    code_open: str  # before a program; in a compact dialect one single token
    code_close: str  # between a program and the end of the turn
    preamble_close: str  # between a preamble and `code_open`
    output_open: str  # opens the turn that shows a program's output
    output_close: str  # ends that turn
    stops: tuple[str, ...]  # generation ends before any of these


TURN_CLOSE: Final = "<|im_end|>"

COMPACT: Final = Dialect(
    name="compact",
    code_open="<jupyter_code>",
    code_close="",
    preamble_close="",
    output_open="<jupyter_output>",
    output_close=TURN_CLOSE,
    stops=(TURN_CLOSE, "<|endoftext|>", "<|im_start|>", "<jupyter_output>"),
)
QWEN3_CODER: Final = Dialect(
    name="qwen3_coder",
    code_open="<tool_call>\n<function=execute_code>\n<parameter=code>\n",
    code_close="\n</parameter>\n</function>\n</tool_call>",
    preamble_close="\n\n",
    output_open="<|im_start|>user\n<tool_response>\n",
    output_close="\n</tool_response>\n" + TURN_CLOSE,
    stops=(TURN_CLOSE, "<|endoftext|>", "<|im_start|>", "</tool_call>", "<tool_response>"),
)
DIALECTS: Final = {row.name: row for row in (COMPACT, QWEN3_CODER)}

# The control tokens of common model families, each up to its second character.
_LOOKALIKE: Final = re.compile(
    r"<(?=[|｜][^<>\s]{1,40}[|｜]>|/?(?:tool_call|tool_response|think|s|bos|eos|pad|unk)>"
    r"|(?:start|end)_of_turn>|(?:jupyter|issue)_[a-z]+>|(?:repo_name|reponame|file_sep)>"
    r"|(?:filename|gh_stars|empty_output)>)|\[(?=/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS)\])"
)

_MARKER_BEGUN: Final = re.compile(r"\n?(?:</?[|a-z_]{0,20}|`{1,3})\Z")

SYSTEM_TUNED: Final = (
    "You are Punie. Answer questions about this Python repository, by program or in words."
)

_GENERAL: Final = """\
You are Punie, a coding agent for the Python repository that the user has open.
You have one tool, `execute_code`: it runs a short Python program that you write. Call it so:

<tool_call>
<function=execute_code>
<parameter=code>
print(git_status().file_count)
</parameter>
</function>
</tool_call>

In a program the functions listed below are already defined: do not import them. Only what you
print comes back to you, so print the facts that the question asks for. The program runs in a
sandbox: no files, network or environment except through these functions, no class definitions
with bases, no yield, only a small standard library. It is type-checked against the stubs before
it runs. Results are objects: read their fields by name (`result.violation_count`), and check
`result.success` where a call may fail. Lines and columns count from 1; paths are relative to
the repository.

One program per reply. When its output answers the question, reply in prose without a call.
General questions about Python, git or tools need no program: answer them directly.

```python
{stubs}
```"""


def system_general(stubs: str) -> str:
    """The system text for a model not trained on the tools, whose `.pyi` text is `stubs`."""
    return _GENERAL.format(stubs=stubs.strip())


def render(messages: Sequence[Message], dialect: Dialect) -> list[Piece]:
    """The prompt for `messages`, ending with the assistant's opener unless the last turn is the
    assistant's. `trained` marks each reply that is not `wrong`, with its marker and end token, and
    nothing else. Adds no system message of its own. ValueError: unknown role, misplaced code."""
    pieces: list[Piece] = []
    for message in messages:
        role, content = message["role"], message["content"]
        if role not in ("system", "user", "assistant", "tool"):
            raise ValueError(f"unknown role {role!r}; known: system, user, assistant, tool")
        if "code" in message and role != "assistant":
            raise ValueError(f"only an assistant message can hold code, not role {role!r}")
        if role == "tool":
            pieces.append(Piece(dialect.output_open, True, False))
            pieces.extend(_text(content, trained=False))
            pieces.append(Piece(dialect.output_close + "\n", True, False))
            continue
        pieces.append(Piece(f"<|im_start|>{role}\n", True, False))
        if role == "assistant":
            pieces.extend(_reply(message, dialect))
        elif role == "system":
            pieces.append(Piece(content + TURN_CLOSE, True, False))
        else:
            pieces += [*_text(content, trained=False), Piece(TURN_CLOSE, True, False)]
        pieces.append(Piece("\n", True, False))
    if not messages or messages[-1]["role"] != "assistant":
        pieces.append(Piece("<|im_start|>assistant\n", True, False))
    return pieces


def _reply(message: Message, dialect: Dialect) -> Iterator[Piece]:
    """An assistant's reply with its end token: all of it is trained, or nothing."""
    content, code = message["content"], message.get("code", "")
    trained = not message.get("wrong", False)
    content = content.strip() if code else content
    yield from _text(content, trained=trained)
    if code:
        opener = (dialect.preamble_close if content else "") + dialect.code_open
        yield Piece(opener, True, trained)
        yield from _text(code, trained=trained)
        if dialect.code_close:
            yield Piece(dialect.code_close, True, trained)
    yield Piece(TURN_CLOSE, True, trained)


def _text(text: str, *, trained: bool) -> Iterator[Piece]:
    """Foreign text, cut after the first character of everything that looks like a marker."""
    cuts = [0, *(match.end() for match in _LOOKALIKE.finditer(text)), len(text)]
    for start, end in pairwise(cuts):
        if start < end:
            yield Piece(text[start:end], False, trained)


def parse(reply_text: str, dialect: Dialect, *, fences: bool = False) -> Reply:
    """Take a generated reply apart; never raises.

    - From the first stop string on all is dropped; a missing end is no fault.
    - Text before the program marker is the content (a preamble); a second marker ends the code.
    - A Markdown fence around the code is taken off.
    - `fences`: for models of profile `general`; without a marker, the first ```python block is
      the program. Off for tuned models, whose direct answers may show Python they do not run.
    - qwen3_coder: missing openers and closers and JSON calls are understood; markup without any
      code stays in the content.
    """
    text = re.split("|".join(map(re.escape, dialect.stops)), reply_text, maxsplit=1)[0]
    if dialect.code_close:
        found = _xml_call(text) or _json_call(text)
    else:
        before, marker, after = text.partition(dialect.code_open)
        found = (after.split(dialect.code_open)[0], before) if marker else None
    if found is None and fences:
        block = re.search(r"```(?:python|py)[ \t]*\n(.*?)(?:\n?```|\Z)", text, re.DOTALL)
        found = (block.group(1), text[: block.start()]) if block else None
    if found is None:
        return Reply("", text.strip())
    return Reply(_unfence(found[0]), found[1].strip())


def begun(reply_text: str, dialect: Dialect, *, fences: bool = False) -> str:
    """The program of a reply that is still being written, without an end that may become a marker;
    "" until there is one. For showing: what `parse` gives of the whole reply is what counts."""
    code = parse(reply_text, dialect, fences=fences).code
    if code.lstrip().startswith("`"):  # a fence that is not whole
        return ""
    return _MARKER_BEGUN.sub("", code)


def _xml_call(text: str) -> tuple[str, str] | None:
    """(code, text before the call) of a Qwen3-Coder call."""
    opener = r"(?:<tool_call>\s*)?(?:<function=[^>\n]*>\s*)?<parameter=code>\n?"
    closer = r"(?:\n?</parameter>|\n?</function>|\Z)"
    match = re.search(rf"{opener}(.*?){closer}", text, re.DOTALL)
    return (match.group(1), text[: match.start()]) if match else None


def _json_call(text: str) -> tuple[str, str] | None:
    """(code, text before the call) of a call in JSON, as older Qwen models write it."""
    before, marker, body = text.partition("<tool_call>")
    try:
        call = json.loads(body) if marker else None
        code = call["arguments"]["code"] if call else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (code, before) if isinstance(code, str) else None


def _unfence(code: str) -> str:
    """Code without a Markdown fence around it and without blank lines at its ends."""
    match = re.fullmatch(r"\s*```[a-z]*[ \t]*\n(.*?)(?:\n```)?\s*", code, re.DOTALL)
    return (match.group(1) if match else code).strip("\n").rstrip()


def neutralise(text: str) -> str:
    """`text` with a visible space in all that looks like a control token: `< |im_end|>`."""
    return _LOOKALIKE.sub(lambda match: match.group() + " ", text)


def chat_messages(messages: Sequence[Message], dialect: Dialect) -> list[dict[str, str]]:
    """`messages` for a chat server, which tokenizes with special tokens on: plain role and
    content. Foreign text is neutralised; programs and outputs carry the dialect's markup, an
    output as a turn of the user. System text goes out as it is."""
    plain: list[dict[str, str]] = []
    for message in messages:
        role, content = message["role"], message["content"]
        content = content if role == "system" else neutralise(content)
        if role == "tool":
            opener = dialect.output_open.removeprefix("<|im_start|>user\n")
            closer = dialect.output_close.removesuffix(TURN_CLOSE).rstrip("\n")
            role, content = "user", opener + content + closer
        elif code := message.get("code", ""):
            opener = (dialect.preamble_close if content.strip() else "") + dialect.code_open
            content = content.strip() + opener + neutralise(code) + dialect.code_close
        plain.append({"role": role, "content": content})
    return plain
