"""Ask a question: the model writes a program, the sandbox runs it, what it prints is the answer.

The list of messages that the model saw is the history, the trace and the training record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from punie.engine import Engine, Generation
from punie.errors import PunieError, UsageError
from punie.mentioned import Mentioned
from punie.prompt import COMPACT, SYSTEM_TUNED, Dialect, Message, begun, parse, system_general
from punie.sandbox import Outcome, Sandbox
from punie.tool import Effect, Result
from punie.wrap import Call, Context, ProgramEnded, ProgramStarted, middle_cut

Profile = Literal["tuned", "general"]
GENERAL_STEPS = 6
"""Replies that a model of profile `general` may need until it answers in prose."""
SHOWN: dict[Profile, int] = {"tuned": 1000, "general": 8000}
"""Characters of a program's output that go back into a prompt."""
AFRESH = 0.7
"""Temperature for a model that repeats a failed program."""
REMEMBERED: dict[Profile, int] = {"tuned": 4000, "general": 40_000}
"""Characters of earlier turns that a new question's prompt starts with."""


@dataclass
class Step:
    """One reply of the model and what came of it."""

    reply: str
    code: str = ""
    stdout: str = ""
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: list[Call] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    """Results of the calls, in order; not part of the JSON."""
    ms: float = 0.0
    """Milliseconds that the model took for the reply; not part of the JSON."""


@dataclass
class Answer:
    """The answer to one question, as `punie ask --json` prints it."""

    query: str
    answer: str = ""
    kind: Literal["tool", "direct"] = "direct"
    ok: bool = True
    error: str | None = None
    model: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    ms: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("load", "generate", "tools", "total"), 0.0)
    )
    """Wall time in milliseconds: load, generate, tools, total."""
    exit_status: int = 0
    """Exit status of a command that ends with this answer."""
    cancelled: bool = False
    """The user interrupted it; what stands in it is what there was until then."""
    messages: list[Message] = field(default_factory=list)
    """The conversation so far, to be handed to the next `ask` as its history."""

    @property
    def outcome(self) -> Literal["ok", "failed", "refused", "cancelled"]:
        """How it ended, as traces have it."""
        if self.cancelled:
            return "cancelled"
        return "ok" if self.ok else "refused" if self.exit_status == 3 else "failed"

    def as_json(self) -> dict[str, Any]:
        """The object of the contract."""
        shown = ("query", "answer", "kind", "ok", "error", "model", "ms")
        values = {name: getattr(self, name) for name in shown}
        values["steps"] = [
            {f.name: getattr(step, f.name) for f in fields(Step) if f.name not in ("results", "ms")}
            | {"calls": [asdict(call) for call in step.calls]}
            for step in self.steps
        ]
        return values


def failed(query: str, error: PunieError) -> Answer:
    """The answer to a question that could not be put to a model."""
    model = dict.fromkeys(("name", "engine", "sha256", "tools"), "")
    return Answer(query, ok=False, error=str(error), model=model, exit_status=error.exit_status)


class Agent:
    """Asks one model about one workspace. Collaborators are built by the caller."""

    def __init__(
        self,
        engine: Engine,
        sandbox: Sandbox,
        context: Context,
        *,
        dialect: Dialect = COMPACT,
        profile: Profile = "tuned",
        model: dict[str, str] | None = None,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.engine, self.sandbox, self.context = engine, sandbox, context
        self.dialect, self.profile, self.progress = dialect, profile, progress
        self.model = model or {}
        self.interrupted: Callable[[Answer], None] = lambda answer: None
        """Called with what there is of an answer when `ask` is cancelled, for its trace."""

    async def ask(self, query: str, history: Sequence[Message] = ()) -> Answer:
        """Answer one question; `history` is the `messages` of the answer before.

        Raises `UsageError` for an empty question. Every other failure is in the answer. Cancelled,
        it hands the unfinished answer to `interrupted`.
        """
        if not query.strip():
            raise UsageError("the question is empty: write what you want to know")
        start = time.perf_counter()
        answer = Answer(query, model=self.model)
        system = SYSTEM_TUNED if self.profile == "tuned" else system_general(self.sandbox.stubs)
        opening: list[Message] = [{"role": "system", "content": system}]
        earlier = recent(history, REMEMBERED[self.profile])
        answer.messages = [*opening, *earlier, {"role": "user", "content": query}]
        try:
            await self._converse(answer)
        except PunieError as error:
            answer.ok, answer.error, answer.exit_status = False, str(error), error.exit_status
        except asyncio.CancelledError:
            answer.ok, answer.error, answer.exit_status = False, "interrupted", 130
            answer.cancelled = True
            _total(answer, start)
            self.interrupted(answer)
            raise
        _total(answer, start)
        return answer

    async def _converse(self, answer: Answer) -> None:
        repairs = self.context.settings.repairs
        most = GENERAL_STEPS if self.profile == "general" else 1 + repairs
        most_shown = SHOWN[self.profile]
        asked, afresh = len(answer.messages), 0
        for _ in range(most):
            generation = await self._generate(answer, asked, afresh)
            code, content = parse(generation.text, self.dialect, fences=self.profile == "general")
            step = Step(generation.text, code)
            step.prompt_tokens = generation.prompt_tokens
            step.completion_tokens, step.ms = generation.completion_tokens, generation.ms
            answer.steps.append(step)
            if not code:
                self._direct(answer, content, generation)
                return
            if any(earlier.code == code for earlier in answer.steps[:-1]):
                afresh += 1  # it would only tell the same again
                continue
            self.progress("running the program")
            await self.context.watcher(ProgramStarted(code))
            outcome = await self.sandbox.run(code, self.context, self.progress)
            step.stdout, step.error = outcome.stdout, outcome.error
            step.calls, step.results = outcome.calls, outcome.results
            told = shown(outcome)
            well = outcome.error is None and not outcome.unread
            await self.context.watcher(ProgramEnded(told, well))
            answer.messages.append({"role": "assistant", "content": content, "code": code})
            answer.messages.append({"role": "tool", "content": middle_cut(told, most_shown)})
            self._settle(answer, outcome, told)
            done = answer.ok or _acted(outcome, self.sandbox)
            if outcome.refused or (self.profile == "tuned" and done):
                return
        if self.profile == "general" and answer.error is None:
            answer.ok, answer.exit_status = False, 1
            answer.error = f"the model gave no final answer within {most} replies"

    async def _generate(self, answer: Answer, asked: int, afresh: int) -> Generation:
        """The next reply. A model that repeats itself is asked `afresh`: without what failed, at
        a temperature."""
        self.progress("thinking")
        start = time.perf_counter()
        try:
            return await self.engine.generate(
                answer.messages[:asked] if afresh else answer.messages,
                max_tokens=self.context.settings.max_tokens,
                temperature=AFRESH if afresh else 0.0,
                seed=afresh,
                mentioned=self._mentioned(answer),
                written=self._written(),
            )
        finally:
            answer.ms["generate"] = round(answer.ms["generate"] + _ms(start), 3)
            self.progress("")

    def _written(self) -> Callable[[str], None] | None:
        """Hands on what the model has written of a program; None where nobody looks."""
        show = self.context.writing
        if show is None:
            return None
        show("")
        fences = self.profile == "general"
        return lambda text: show(begun(text, self.dialect, fences=fences))

    def _mentioned(self, answer: Answer) -> Mentioned | None:
        """The words of the conversation that arguments may be; None for models that are told."""
        if self.profile != "tuned":
            return None
        parameters = {
            name: [p.name for p in tool.parameters] for name, tool in self.sandbox.tools.items()
        }
        said = [m["content"] for m in answer.messages if m["role"] in ("user", "tool")]
        return Mentioned(self.context.workspace, parameters, said)

    def _direct(self, answer: Answer, content: str, generation: Generation) -> None:
        """The model answered in words: a direct answer, or the prose after its programs."""
        answer.messages.append({"role": "assistant", "content": content})
        if self.profile == "tuned" and len(answer.steps) > 1:
            return  # words instead of a repair: the failed program stays the answer
        answer.answer = content
        if answer.error:
            return  # words over a failed program do not make it right
        if not generation.sure:
            answer.error = (
                "the model knows no checked answer to that: ask about this repository, or a"
                " general question in other words"
            )
        elif not content:
            answer.error = "the model gave an empty reply: ask in other words"
        elif not generation.finished:
            answer.error = (
                f"the model's reply did not end within {generation.completion_tokens} tokens: "
                "ask in other words, or raise max_tokens"
            )
        if answer.error:
            answer.ok, answer.exit_status = False, 1

    def _settle(self, answer: Answer, outcome: Outcome, told: str) -> None:
        """Make the program's outcome the answer, until a later step does better."""
        answer.kind, answer.answer = "tool", told
        answer.error = outcome.error or (outcome.unread[0] if outcome.unread else None)
        answer.ok = answer.error is None
        answer.exit_status = 0 if answer.ok else 3 if outcome.refused else 1


def recent(history: Sequence[Message], most: int) -> list[Message]:
    """The latest whole turns of a conversation within `most` characters; no system text."""
    turns: list[list[Message]] = []
    for message in history:
        if message["role"] == "user":
            turns.append([])
        if turns:
            turns[-1].append(message)
    kept: list[Message] = []
    for turn in reversed(turns):
        size = sum(len(m["content"]) + len(m.get("code", "")) for m in [*turn, *kept])
        if size > most:
            break
        kept = [*turn, *kept]
    return kept


def shown(outcome: Outcome) -> str:
    """What a program's run tells: its output, failures it hid, else what it counted."""
    text = outcome.stdout.rstrip("\n")
    reasons = [outcome.error] if outcome.error else []
    reasons += [reason for reason in outcome.unread if reason != outcome.error]
    notes = [n for n in map(_cut_note, outcome.calls, outcome.results) if n]
    if not text and not reasons:
        described = map(describe, outcome.calls, outcome.results)
        text = "\n".join(described) or "The program printed nothing and called no tool."
    return "\n".join([text, *reasons, *notes] if text else [*reasons, *notes])


def describe(call: Call, result: Result) -> str:
    """What a call counted, for programs that print nothing: `git_status(): file_count 0`."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.args.items())
    facts = []
    for name in type(result).model_fields:
        value = getattr(result, name)
        if name in Result.model_fields:
            continue
        if isinstance(value, bool | int | float):
            facts.append(f"{name} {value}")
        elif isinstance(value, list) and not hasattr(result, f"{name[:-1]}_count"):
            facts.append(f"{len(value)} {name}")
    return f"{call.tool}({arguments}): {', '.join(facts)}; nothing was printed"


def _cut_note(call: Call, result: Result) -> str:
    """What a program left out without knowing: it read a list that was cut, and not `truncated`."""
    kind = type(result).__name__
    if not result.truncated or f"{kind}.truncated" in call.fields:
        return ""
    for name in type(result).model_fields:
        value = getattr(result, name)
        if isinstance(value, list) and f"{kind}.{name}" in call.fields:
            count = next(
                (v for n, v in result if n.endswith("_count") and isinstance(v, int)), None
            )
            of = f" of {count}" if count and count > len(value) else ""
            return f"(not all: {call.tool} gave {len(value)}{of} {name})"
    return ""


def _acted(outcome: Outcome, sandbox: Sandbox) -> bool:
    """Whether the program may have changed something: it is never run again unasked.

    A write that failed wrote nothing; a command that failed may have done half of its work.
    """
    effects = [(sandbox.tools[call.tool].effect, call.ok) for call in outcome.calls]
    return any(e is Effect.RUN or (e is Effect.WRITE and ok) for e, ok in effects)


def _total(answer: Answer, start: float) -> None:
    answer.ms["total"] = _ms(start)
    answer.ms["tools"] = round(sum(c.ms for s in answer.steps for c in s.calls), 3)


def _ms(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 3)
