"""A model folder in Hugging Face's form, as MLX's are: its tokenizer, and what Punie says of it.

Training and serving read the same `tokenizer.json` here, so both see the same token ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punie.errors import EngineError, ModelUnavailable
from punie.prompt import Piece

CARD = "punie.json"
"""File beside the weights that names dialect, tool set and literals of a model of our factory."""


@dataclass(frozen=True)
class FolderCard:
    """What a model folder says of itself; empty where no Punie factory wrote it."""

    name: str
    dialect: str = ""
    tools_hash: str = ""
    sha256: str = ""
    """Of the weights; empty when their files are not those that it was computed of."""
    literals: tuple[str, ...] | None = None


def is_model_folder(path: Path) -> bool:
    """Whether `path` holds weights with their configuration."""
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


def read_card(folder: Path) -> FolderCard:
    """The folder's card. Raises ModelUnavailable when there is one that cannot be read."""
    if not (folder / CARD).exists():
        return FolderCard(folder.name)
    facts = read_json(folder / CARD)
    try:
        sizes = {p.name: p.stat().st_size for p in folder.glob("*.safetensors")}
        listed = facts.get("literals")
        return FolderCard(
            str(facts["name"]),
            str(facts["dialect"]),
            str(facts["tools_hash"]),
            str(facts["sha256"]) if facts["files"] == sizes else "",
            None if listed is None else tuple(map(str, listed)),
        )
    except (KeyError, TypeError) as error:
        raise ModelUnavailable(f"{str(folder / CARD)!r} is no card of a model: {error!r}") from None


class FolderTokenizer:
    """The tokenizer of a model folder: byte-level BPE, as Qwen's, Llama 3's and SmolLM2's are.

    Text is tokenized by the same vocabulary without any added token, so that it cannot become a
    control token; other kinds of tokenizer are refused, since there that cannot be promised.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ModelUnavailable when the folder has no such tokenizer."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ModelUnavailable(
                f"model folders need the extra 'mlx' ({error}): pip install 'punie[mlx]'"
            ) from None
        source = read_json(folder / "tokenizer.json")
        kinds = json.dumps([source.get("pre_tokenizer"), source.get("decoder")])
        if "ByteLevel" not in kinds:
            raise ModelUnavailable(f"{str(folder)!r}: only byte-level tokenizers can be used")
        added = source.get("added_tokens") or []
        self.controls: dict[str, int] = {token["content"]: token["id"] for token in added}
        """Added tokens and their ids; all of them count as control tokens."""
        self._control_ids = frozenset(self.controls.values())
        self._control = Tokenizer.from_str(json.dumps(source))
        self._text = Tokenizer.from_str(json.dumps(source | {"added_tokens": []}))
        for tokenizer in (self._control, self._text):  # a row is left out, never cut
            tokenizer.no_truncation()
            tokenizer.no_padding()
        self._ends = _ends(folder, self.controls)

    @property
    def ends(self) -> frozenset[int]:
        """The ids that end a reply, as the folder's configuration names them."""
        return self._ends

    def ids(self, piece: Piece) -> list[int]:
        """Token ids of one piece. Raises EngineError for a vocabulary whose plain words are
        control tokens."""
        tokenizer = self._control if piece.control else self._text
        text = piece.text.encode("utf-8", "replace").decode()
        found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        if not piece.control and not self._control_ids.isdisjoint(found):
            raise EngineError(f"the tokenizer makes control tokens of plain text: {text[:80]!r}")
        return found

    def encode(self, pieces: Iterable[Piece]) -> tuple[list[int], list[bool]]:
        """Token ids of a rendered prompt and, for each, whether it is trained."""
        ids: list[int] = []
        trained: list[bool] = []
        for piece in pieces:
            found = self.ids(piece)
            ids += found
            trained += [piece.trained] * len(found)
        return ids, trained

    def bytes_of(self, token: int) -> bytes:
        """A token's text, control tokens visible; b"" for an id without one."""
        text: str | None = self._control.id_to_token(token)
        if text is None:
            return b""
        if token in self._control_ids:
            return text.encode()
        return bytes(_BYTES[c] for c in text if c in _BYTES)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, control tokens visible."""
        return b"".join(map(self.bytes_of, ids)).decode("utf-8", "replace")


def _ends(folder: Path, controls: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            ends = read_json(folder / name).get("eos_token_id")
            found |= {int(e) for e in (ends if isinstance(ends, list) else [ends]) if e is not None}
    return frozenset(found or {controls[t] for t in ("<|im_end|>",) if t in controls})


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises ModelUnavailable when there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"cannot read {str(path)!r}: {error}") from None
    if not isinstance(found, dict):
        raise ModelUnavailable(f"{str(path)!r} is no JSON object")
    return found


def _byte_table() -> dict[str, int]:
    """The letter that stands for each byte in a byte-level vocabulary → the byte: printable Latin-1
    stands for itself, the others follow from U+0100 on (GPT-2's table)."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in own]
    table = {chr(byte): byte for byte in own}
    return table | {chr(256 + place): byte for place, byte in enumerate(rest)}


_BYTES = _byte_table()
