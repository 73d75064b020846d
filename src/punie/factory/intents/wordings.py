"""What phrasings must not be: one wording for two intents, or a slot that fuses with a letter.

Two phrasings are one wording when they differ in case, signs and the names of slots alone. They
may stand for two intents whose values can be told apart (a file, a symbol) or whose programs are
the same; else the same question would be trained with two programs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from punie.factory.intents import Direct, Intent

SLOT = re.compile(r"\{(\w+)\}")

LOOKS = {
    "symbol": "function class method variable",
    "top_symbol": "function class",
    "other_symbol": "function class",
    "function": "function method",
    "function_with_parameter": "function method",
    "documented": "function class method",
    "class_": "class",
    "class_with_init": "class",
    "method": "dotted",
    "method_name": "method",
    "symbol_in_tests": "function",
    "named_test": "function",
    "test_of_path": "function",
    "failing_test_path": "file",
    "failing_test_of_path": "function",
    "failing_named_test": "function",
    "ambiguous": "function class method variable",
    "query": "function class method word",
    "word_of_file": "function class method variable word",
    "searched": "function class method variable word text",
    "message_word": "word",
    "text": "word text",
    "code_line": "word text",
    "file": "file",
    "text_file": "file",
    "python_file": "file",
    "other_python_file": "file",
    "third_python_file": "file",
    "other_file": "file",
    "file_name": "file",
    "blamed_file": "file",
    "small_python_file": "file",
    "test_path": "file",
    "test_place": "file folder",
    "other_test_path": "file",
    "changed_file": "file",
    "diff_file": "file",
    "staged_file": "file",
    "file_of_symbol": "file",
    "file_of_class": "file",
    "file_of_position": "file",
    "file_using_symbol": "file",
    "new_file": "file",
    "new_module": "file",
    "tracked_python_file": "file",
    "tracked_file": "file",
    "tracked_test_path": "file",
    "small_class_file": "file",
    "class_query": "class word",
    "word_of_test": "function class method variable word",
    "small_python_folder": "folder",
    "folder": "folder",
    "python_folder": "folder",
    "python_path": "file folder",
    "branch": "branch",
    "merged_branch": "branch",
    "branch_or_none": "branch",
    "count": "number",
    "small_count": "number",
    "start_line": "number",
    "end_line": "number",
    "line_of_symbol": "number",
    "line_of_position": "number",
    "column_of_position": "number",
}
"""Kind of slot → what its values may look like; a kind that is not here looks like no other."""


def plain(text: str) -> str:
    """A question without case, signs and the space between words: what makes it the same."""
    return " ".join(re.findall(r"[\w{}./:-]*\w[\w{}]*", text.lower()))


def wording(phrasing: str) -> str:
    """A phrasing as `plain` has it, with all slots alike."""
    return plain(SLOT.sub("{x}", phrasing))


def collisions(intents: Iterable[Intent], direct: Iterable[Direct]) -> list[str]:
    """Wordings that stand for two programs, or for a program and an answer in words."""
    groups: dict[str, dict[tuple[str, str], Intent]] = defaultdict(dict)
    for intent in intents:
        for phrasing in intent.phrasings:
            groups[wording(phrasing)].setdefault((intent.name, phrasing), intent)
    found = []
    for shared in groups.values():
        taken = list(shared.items())
        for number, ((name, phrasing), intent) in enumerate(taken):
            for (other_name, other_phrasing), other in taken[number + 1 :]:
                if _clash(intent, phrasing, other, other_phrasing):
                    found.append(
                        f"one wording of two intents: {name} {phrasing!r},"
                        f" {other_name} {other_phrasing!r}"
                    )
    for entry in direct:
        for asked in entry.questions:
            for name, _ in groups.get(wording(asked), {}):
                found.append(f"a wording with a program and an answer: {name} and {asked!r}")
    return found


def _clash(one: Intent, phrasing: str, other: Intent, other_phrasing: str) -> bool:
    """Whether a question in one wording may ask for either of two different programs."""
    if one.name == other.name or _numbered(one, phrasing) == _numbered(other, other_phrasing):
        return False
    pairs = zip(_looks(one, phrasing), _looks(other, other_phrasing), strict=True)
    return all(ours & theirs for ours, theirs in pairs)


def _looks(intent: Intent, phrasing: str) -> Iterator[set[str]]:
    for slot in SLOT.findall(phrasing):
        kind = intent.slots.get(slot, slot)
        yield set(LOOKS.get(kind, kind).split())


def _numbered(intent: Intent, phrasing: str) -> str:
    """The program with its slots numbered as the phrasing names them."""
    order = {slot: str(number) for number, slot in enumerate(SLOT.findall(phrasing))}
    return SLOT.sub(lambda m: "{%s}" % order.get(m[1], m[1]), intent.program).strip()


def glued(intent: Intent) -> list[str]:
    """Phrasings in which a letter stands at a name or path, so that a value would fuse with it.

    A number stays a number beside a letter (`L12`).
    """
    found = []
    for phrasing in intent.phrasings:
        for match in re.finditer(r"(\w?)\{(\w+)\}(\w?)", phrasing):
            number = LOOKS.get(intent.slots.get(match[2], "")) == "number"
            if (match[1] or match[3]) and not number:
                found.append(f"{intent.name}: a letter stands at {{{match[2]}}} in {phrasing!r}")
    return found
