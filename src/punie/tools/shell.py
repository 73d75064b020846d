"""Any command of the workspace, after approval."""

from __future__ import annotations

import os
from typing import Annotated

from punie.errors import ToolFailure
from punie.tool import Doc, Effect, Result, tool
from punie.wrap import Context, middle_cut


class CommandResult(Result):
    """What a command did. A command that ends with another status than 0 is a success too."""

    exit_code: int = 0
    """Exit status; negative = the signal that ended it."""
    stdout: str = ""
    """Standard output, cut in the middle when long."""
    stderr: str = ""
    """Standard error, cut in the middle when long."""
    duration: float = 0.0
    """Seconds."""

    def __str__(self) -> str:
        """The output, then what went wrong, if anything."""
        parts = [self.stdout.removesuffix("\n"), self.stderr.removesuffix("\n")]
        if not self.success:
            parts.append(f"failed: {self.parse_error}")
        elif self.exit_code:
            parts.append(f"exit status {self.exit_code}")
        return "\n".join(part for part in parts if part)


CommandArg = Annotated[str, Doc("Command line for /bin/sh, run in the workspace.")]


def _preview(context: Context, command: str) -> str:
    _usable(command)
    return command


@tool(effect=Effect.RUN, preview=_preview)
async def run_command(context: Context, command: CommandArg) -> CommandResult:
    """Run a shell command in the workspace, without standard input.

    What it leaves in the background ends with it, also what has left its process group.
    """
    _usable(command)
    seconds = context.settings.test_seconds
    shell = ["/bin/sh", "-c", command]
    path = {"PATH": os.environ.get("PATH")}  # relative parts, too: it is the user's own command
    done = await context.editor.run(command, seconds) if context.editor else None
    if done is None:
        done = await context.workspace.run(shell, timeout=seconds, env=path, leash=True)
    # Two long outputs share the room evenly; a short one leaves its rest to the other.
    most = int(context.settings.output_kb * 850)
    out = middle_cut(done.out, max(most - len(done.err.encode()), most // 2))
    err = middle_cut(done.err, max(most - len(done.out.encode()), most // 2))
    problem = f"run_command took longer than its limit of {seconds:g} s: output up to then"
    return CommandResult(
        success=not done.timed_out,
        parse_error=problem if done.timed_out else None,
        truncated=done.cut or out != done.out or err != done.err,
        exit_code=done.exit_code,
        stdout=out,
        stderr=err,
        duration=round(done.duration, 3),
    )


def _usable(command: str) -> None:
    """Raise `ToolFailure` for a command that says nothing or cannot be passed on."""
    if not command.strip():
        raise ToolFailure("the command is empty: give a command line, such as 'ls src'")
    if "\0" in command:
        raise ToolFailure(f"command {command!r} holds a NUL character")
