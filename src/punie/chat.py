"""A conversation in the terminal: programs and their output as they come, commands by `/`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import click

from punie.agent import Agent, Answer
from punie.conversation import Conversation, Turn
from punie.errors import PunieError, UsageError
from punie.lines import Lines
from punie.settings import Settings
from punie.terminal import Progress, visible
from punie.trace import keep
from punie.undo import undo
from punie.wrap import Event, ProgramEnded, ProgramStarted

COMMANDS = {
    "/help": "show these commands",
    "/model": "say which model answers; /model SPEC asks another one from now on",
    "/read-only": "refuse tests, writes and commands; again, or /read-only off: ask as before",
    "/undo": "restore the last file that Punie wrote",
    "/save": "/save FILE writes the conversation to a new file, as Markdown",
    "/new": "begin a new conversation",
    "/quit": "end; so does Ctrl-D",
}
PROMPT = "> "
RECALLED = 3
"""Turns that are shown when a conversation goes on."""

Open = Callable[[Settings], AbstractAsyncContextManager[Agent]]


class Screen:
    """Shows programs dimmed, as they are written, and their output, line by line."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seen = self.told = ""
        self._written = ""
        """What stands of a program on the line that is not ended."""

    def writing(self, code: str) -> None:
        """Show more of a program that the model writes; one that is another begins a new line."""
        shown = visible(code.removesuffix("\r"))
        if not shown.startswith(self._written) or not code:
            self.pause()
        if more := shown[len(self._written) :]:
            self.progress("")
            start = "" if self._written else click.style("", dim=True, reset=False)
            click.echo(start + more, nl=False)
            self._written = shown

    def pause(self) -> None:
        """End the line of a program, whole or not."""
        if self._written:
            click.echo(click.style(""))
            self._written = ""

    async def watch(self, event: Event) -> None:
        """Show a program that starts, and what it did not print when it ends."""
        if isinstance(event, ProgramStarted):
            self.progress("")
            self.seen = ""
            self.writing(event.code)
            self.pause()
        elif isinstance(event, ProgramEnded):
            self._ended(event.told)

    def printed(self, text: str) -> None:
        """Show printed lines."""
        self.progress("")
        self.seen += text
        click.echo(visible(text), nl=False)

    def _ended(self, told: str) -> None:
        """Show what was not printed: why it stopped, what it counted."""
        self.progress("")
        self.told = told
        if self.seen and not self.seen.endswith("\n"):
            click.echo()
        rest = told.removeprefix(self.seen.rstrip("\n")).strip("\n")
        if rest:
            click.echo(visible(rest))


class Chat:
    """One conversation with one user. `opened` gives an agent for settings, `lines` the input."""

    def __init__(
        self,
        opened: Open,
        settings: Settings,
        conversation: Conversation,
        lines: Lines,
        progress: Progress,
    ) -> None:
        self.opened, self.settings, self.lines = opened, settings, lines
        self.conversation, self.progress = conversation, progress
        self.screen = Screen(progress)
        self.status = 0
        """The highest exit status of all answers."""
        self._stack = AsyncExitStack()
        self._agent: Agent | None = None

    def run(self) -> None:
        """Read and answer until the input ends. Raises `ModelUnavailable` without a model."""
        with asyncio.Runner() as runner:
            try:
                runner.run(self._open(self.settings))
                self._greet()
                self._converse(runner)
            finally:
                runner.run(self._stack.aclose())

    def _converse(self, runner: asyncio.Runner) -> None:
        while True:
            try:
                line = self.lines.read(PROMPT)
                if line is None or line.split()[:1] in (["/quit"], ["/exit"]):
                    break
                if line.startswith("/"):
                    self._command(line, runner)
                elif line.strip():
                    runner.run(self._ask(line))
            except KeyboardInterrupt:
                self.progress("")
                self.screen.pause()
                self._say("interrupted; the conversation goes on, /quit ends it")
            except PunieError as error:
                self.progress("")
                self.screen.pause()
                self.status = max(self.status, error.exit_status)
                self._say(f"punie: {error}")
        if self.lines.terminal and self.conversation.turns and self.settings.traces:
            self._say(f"punie chat --resume {self.conversation.name} goes on from here")

    async def _ask(self, query: str) -> None:
        assert self._agent is not None
        self.screen.told = ""
        answer = await self._agent.ask(query, self.conversation.history)
        self.progress("")
        self.screen.pause()
        self.status = max(self.status, answer.exit_status)
        if answer.answer != self.screen.told:
            click.echo(visible(answer.answer))
        if not answer.ok and answer.error and answer.error not in answer.answer:
            click.secho(f"punie: {visible(answer.error)}", fg="red")
        self.conversation.add(answer)
        notes = [keep(answer, self.conversation.root, self.settings)]
        if self.settings.traces:
            try:
                self.conversation.save()
            except OSError as error:
                notes.append(f"the conversation was not stored: {error}")
        for note in filter(None, notes):
            self._say(note)

    async def _open(self, settings: Settings) -> None:
        """Load a model; the one before stays until the new one is there."""
        stack = AsyncExitStack()
        agent = await stack.enter_async_context(self.opened(settings))
        await self._stack.aclose()
        if self._agent:  # what was allowed for this chat stays so
            agent.context.remembered = self._agent.context.remembered
        agent.context.watcher, agent.context.printed = self.screen.watch, self.screen.printed
        if self.lines.terminal:
            agent.context.writing = self.screen.writing
        agent.interrupted = self._interrupted
        self._stack, self._agent, self.settings = stack, agent, settings

    def _interrupted(self, answer: Answer) -> None:
        """Keep a trace of what Ctrl-C ended."""
        if note := keep(answer, self.conversation.root, self.settings):
            self._say(note)

    def _command(self, line: str, runner: asyncio.Runner) -> None:
        verb, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if verb == "/help":
            width = max(map(len, COMMANDS))
            self._say("\n".join(f"{name:<{width}}  {told}" for name, told in COMMANDS.items()))
            self._say("A line that ends in \\ goes on in the next. Ctrl-C interrupts an answer.")
        elif verb == "/model":
            if rest:
                runner.run(self._open(self.settings.model_copy(update={"model": rest})))
            self._say(f"model {self._model}")
        elif verb == "/read-only":
            self._read_only(rest)
        elif verb == "/undo":
            self._say(str(undo(self.conversation.root)))
        elif verb == "/save":
            self._save(rest)
        elif verb == "/new":
            self.conversation = Conversation(self.conversation.root)
            self._say("a new conversation")
        else:
            known = ", ".join(COMMANDS)
            raise UsageError(f"no command {verb!r}; there are: {known}")

    def _read_only(self, word: str) -> None:
        if word not in ("", "on", "off"):
            raise UsageError(f"/read-only {word!r} is not on or off")
        value = word == "on" if word else not self.settings.read_only
        self.settings = self.settings.model_copy(update={"read_only": value})
        assert self._agent is not None
        self._agent.context.settings = self.settings
        told = "refused" if value else "asked for as the settings say"
        self._say(f"read-only is {'on' if value else 'off'}: tests, writes and commands are {told}")

    def _save(self, name: str) -> None:
        if not name:
            raise UsageError("/save needs the name of a file")
        path = Path(name).expanduser()
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(self.conversation.markdown())
        except FileExistsError:
            raise UsageError(f"{name!r} exists: give another name") from None
        except OSError as error:
            raise UsageError(f"{name!r} cannot be written: {error.strerror}") from None
        self._say(f"saved {path}")

    def _greet(self) -> None:
        if not self.lines.terminal:
            return
        self._say(f"{self.conversation.root.name}, model {self._model}; /help shows the commands")
        turns = self.conversation.turns
        if len(turns) > RECALLED:
            self._say(f"… {len(turns) - RECALLED} earlier turns")
        for turn in turns[-RECALLED:]:
            self._recall(turn)

    def _recall(self, turn: Turn) -> None:
        click.echo(f"{PROMPT}{visible(turn.query)}")
        for text in filter(None, (turn.answer, turn.error)):
            click.echo(visible(text))

    @property
    def _model(self) -> str:
        return self._agent.model.get("name", "") if self._agent else ""

    def _say(self, text: str) -> None:
        """A line of Punie's own."""
        click.secho(visible(text), dim=True, err=not self.lines.terminal)
