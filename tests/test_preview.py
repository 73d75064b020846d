"""`punie preview` shows what is trained of a row, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from audited import ROWS, clean, found
from punie.cli import app
from punie.factory.audit.data import Example, read
from punie.factory.audit.preview import choose, stretches
from punie.prompt import Piece


class Words:
    """Tokens that are words, numbered as they come."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def encode(self, pieces: list[Piece]) -> tuple[list[int], list[bool]]:
        flags = []
        for piece in pieces:
            self.words.append(piece.text)
            flags.append(piece.trained)
        return list(range(len(self.words))), flags

    def decode(self, ids: list[int]) -> str:
        return "".join(self.words[number] for number in ids)


def examples(folder: Path) -> list[Example]:
    found(folder, *clean())
    return read(folder).examples


def test_a_preview_cuts_where_training_begins_and_ends(tmp_path: Path) -> None:
    chosen = choose(examples(tmp_path), "shop-repair")
    assert [e.id for e in chosen] == ["shop-repair"]
    shown = stretches(chosen[0], Words(), "compact")
    assert [s.trained for s in shown] == [False, True, False]
    assert shown[1].text == f"<jupyter_code>{ROWS[0][4]}<|im_end|>"
    assert "file_count" in shown[0].text, "a wrong program is seen and not trained"


def test_a_preview_without_an_id_shows_each_kind(tmp_path: Path) -> None:
    rows = examples(tmp_path)
    assert [e.kind for e in choose(rows, None)] == ["tool", "direct", "repair"]
    assert [e.id for e in choose(rows, "direct")] == ["direct-0", "direct-1"]
    assert choose(rows, "nothing") == []


@pytest.mark.train
def test_the_command_previews_a_row_with_what_is_trained_between_marks(tmp_path: Path) -> None:
    found(tmp_path, *clean())
    done = CliRunner().invoke(app, ["preview", str(tmp_path), "shop-clean"])
    assert done.exit_code == 0, done.output
    assert "«<jupyter_code>print(git_status().clean)<|im_end|>»" in done.output
    assert "<|im_start|>user\nis my tree clean<|im_end|>" in done.output
