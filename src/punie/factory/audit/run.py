"""Audit a data folder from the command line's point of view: collect, check, report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from punie.errors import UsageError
from punie.factory.audit import executed, lengths, verdict
from punie.factory.audit.checks import audit
from punie.factory.audit.data import read
from punie.factory.audit.findings import Finding
from punie.factory.audit.norms import Norms, of_recipe
from punie.factory.audit.report import markdown
from punie.factory.audit.subject import Subject
from punie.factory.intents import load
from punie.factory.suite import FOLDER, load_suite
from punie.sandbox import Sandbox
from punie.settings import Settings
from punie.tool import load_tools


@dataclass(frozen=True)
class Audited:
    """What an audit gave."""

    findings: list[Finding]
    report: str
    """Markdown."""
    subject: Subject
    """What was audited."""

    @property
    def passed(self) -> bool:
        """Whether nothing was breached."""
        return not any(f.severity == "breach" for f in self.findings)


def place(target: Path) -> tuple[Path, Norms]:
    """The data folder and the norms that a folder or a recipe stands for. A folder is held
    against the norms `release`, unless it brings a recipe of its own."""
    if target.is_dir():
        own = target / "recipe.toml"
        return target, of_recipe(own) if own.is_file() else Norms()
    if target.suffix != ".toml":
        raise UsageError(f"{str(target)!r} is neither a data folder nor a recipe")
    return Path("out") / target.stem / "data", of_recipe(target)


def run(
    folder: Path,
    norms: Norms,
    workspaces: Path | None,
    again: int = 0,
    progress: Callable[[str], None] = print,
) -> Audited:
    """Audit the examples of a folder. `workspaces` holds the built repositories of the corpus;
    `again` is how many programs are run again on them. The verdict is kept beside the rows
    (`audit.verdict`). Raises `UsageError` when there is nothing to audit, or no room for it."""
    data = read(folder)
    encode = lengths.tokenizer()
    progress(f"{len(data.examples)} examples; counting tokens")
    measured = lengths.measure(data.examples, encode, norms.dialect) if encode else ()
    suites = tuple(load_suite(path.stem) for path in sorted(FOLDER.glob("*.toml")))
    intents, _ = load()
    subject = Subject(
        data,
        norms,
        load_tools(),
        suites,
        tuple(intent.program for intent in intents.values()),
        {intent.name: intent.phrasings for intent in intents.values()},
        workspaces,
        measured,
    )
    progress("checking")
    findings = asyncio.run(_checked(subject, again))
    try:
        verdict.write(folder, data.sha256, norms.norms, findings)
    except OSError as error:
        raise UsageError(f"the verdict cannot be kept in {str(folder)!r}: {error}") from None
    return Audited(findings, markdown(subject, findings), subject)


async def _checked(subject: Subject, again: int) -> list[Finding]:
    ran = await executed.check(subject, again) if again else []
    async with Sandbox(subject.tools.values(), Settings()) as sandbox:
        return ran + await audit(subject, sandbox)
