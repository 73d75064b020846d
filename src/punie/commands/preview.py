"""`punie preview`: a row of the data as the trainer sees it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from punie.errors import ModelUnavailable, UsageError


@click.command("preview")
@click.argument("target", metavar="DATA|RECIPE", type=click.Path(exists=True, path_type=Path))
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--tokens", is_flag=True, help="Cut the trained text into its tokens.")
def command(target: Path, identifier: str | None, tokens: bool) -> None:
    """Show the row ID, or the first of each kind, as decoded tokens. What is trained on is
    highlighted in a terminal and stands between « and » elsewhere."""
    from punie.factory.audit import preview, run
    from punie.factory.audit.data import read
    from punie.models import base_file
    from punie.models.weights import open_gguf

    try:
        from punie.factory.training.base import TrainingTokenizer
    except ImportError as error:
        raise ModelUnavailable(
            f"a preview needs the extra 'train' ({error}): pip install -e '.[train]'"
        ) from None
    folder, norms = run.place(target)
    chosen = preview.choose(read(folder).examples, identifier)
    if not chosen:
        raise UsageError(f"no row {identifier!r} in {folder}")
    tokenizer = TrainingTokenizer(open_gguf(base_file()))
    coloured = sys.stdout.isatty()
    for example in chosen:
        stretches = preview.stretches(example, tokenizer, norms.dialect)
        total = sum(len(s.ids) for s in stretches)
        trained = sum(len(s.ids) for s in stretches if s.trained)
        click.echo(f"--- {example.id} ({example.kind}): {total} tokens, {trained} trained")
        for stretch in stretches:
            parts = preview.single(stretch, tokenizer) if tokens else [stretch.text]
            text = "·".join(parts) if stretch.trained else stretch.text
            if stretch.trained:
                text = click.style(text, fg="black", bg="green") if coloured else f"«{text}»"
            click.echo(text, nl=False)
        click.echo()
