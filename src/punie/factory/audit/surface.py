"""Registers that can be told from a question's surface, each by a rule that code applies.

A rule looks at the words alone, so it is right by and large and not in each case: what counts are
shares over many questions. Registers overlap: a chatty question may be polite and misspelt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")
SLOT = re.compile(r"\{\w+\}")
OPENING = re.compile(
    r"^(?:(?:hi|hey|hello|yo|ok|okay|so|well|and|now|quick one|please|pls|kindly|just|then|first)"
    r"\b[\s,:.!-]*)*",
    re.IGNORECASE,
)
"""What may stand before the word that tells a request from a question."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VERBS = _words(
    "add analyse analyze append apply break bring calculate call cat check collect compare "
    "compute confirm count create describe determine diff display do dump enumerate examine "
    "execute explain extract fetch figure filter find get gimme give go grab grep group have "
    "help identify inspect jump lemme let lint list locate look make map mark measure name "
    "open outline output pick point print pull put query rank read recall render report "
    "resolve retrieve return run save say scan search see select show sort spell split state "
    "store sum summarise summarize take tell test total trace try type typecheck use verify "
    "view walk write "
)
"""Verbs that a request begins with."""
ASKING = _words(
    "who whose whom what which when where why how is are was were am do does did has have had "
    "can could will would shall should may any wat wher wich whats whos wheres hows anything "
    "anyone anybody "
)
"""Words that a question begins with."""
POLITE = re.compile(
    r"\b(?:please|pls|plz|kindly|thanks|thank you|thx|cheers|be so kind|would you mind|grateful"
    r"|appreciate\w*|(?:could|would|can|may|might) (?:you|u|i|we))\b",
    re.IGNORECASE,
)
INDIRECT = re.compile(
    r"\b(?:i(?:['’]?m| am)|i (?:need|want|wanna|wonder|wish|think|must|have|had|gotta|suspect"
    r"|forgot|lost|can['’]?t|cannot|don['’]?t|would|should|was|keep)|i['’]?(?:d|ve|ll)"
    r"|we(?:['’]re| are| need| want| must| have)|my (?:boss|colleague|team|lead|reviewer)"
    r"|wondering|curious|interested|not sure|no idea|someone|somebody"
    r"|would be (?:nice|good|great))\b",
    re.IGNORECASE,
)
"""A wish, a state or a doubt in the place of a request."""
PURPOSE = re.compile(
    r"\b(?:because|since i|so that|so i|so we|in order to|before (?:i|we|the|my|a|it|anyone|you)\b"
    r"|after (?:i|we|the|my)|for (?:the|my|our|a) (?:meeting|release|review|report|docs?|boss|demo"
    r"|changelog|standup|audit|call|ticket|handover|retro|deploy\w*)|about to|to (?:decide|see if"
    r"|know|make sure|be sure|plan|prepare|fix|clean|understand|avoid)"
    r"|need (?:it|that|this|them) (?:for|to)"
    r"|i(?:['’]m| am) (?:writing|preparing|planning|going|trying|reviewing|refactoring|debugging))",
    re.IGNORECASE,
)
"""Why it is asked."""
TOOLS = re.compile(
    r"\b(?:git|ruff|flake8|pytest|ty|mypy|pyright|lsp|grep|ls|cat|blame|diff|lint\w*|type-?check\w*"
    r"|type check\w*|language server|hover|goto)\b",
    re.IGNORECASE,
)
"""Names of tools, ours and those that people say for them."""
CHAT = _words(
    "u r n ur wat wut wher wich teh thats whats whos wheres hows dont doesnt didnt isnt cant "
    "wont im ive id pls plz thx gimme gonna wanna lemme hole ther thier becuase definately "
    "cuz tho thru abt msg msgs fn fns ppl rn idk btw fyi asap "
)
"""Spellings of a hurried hand."""
TERSE, LONG = 6, 16
"""Words up to which a question without a verb is telegraphic, and from which it is chatty."""
PATH = re.compile(r"[\w.-]+/[\w./-]*|\b[\w-]+\.(?:pyi?|md|rst|txt|toml|cfg|ini|ya?ml|json|in)\b")
"""A file or folder."""
KIND = re.compile(
    r"\b(?:functions?|class(?:es)?|methods?|modules?|variables?|constants?|attributes?|parameters?"
    r"|packages?|tests?|branch(?:es)?|commits?|files?|folders?|director(?:y|ies)|symbols?)\b",
    re.IGNORECASE,
)
"""What kind of thing is asked about."""
RARE, COMMON = 40, 30
"""How many times as often as a slip its right word stands at least, and how often that must be."""

Rule = Callable[[str], bool]


def words(text: str) -> list[str]:
    """The words of a question without slots, lower case."""
    return [word.lower() for word in WORD.findall(SLOT.sub(" ", text))]


def _first(text: str) -> str:
    found = words(OPENING.sub("", text))
    return found[0] if found else ""


def imperative(text: str) -> bool:
    """It begins with a request."""
    return _first(text) in VERBS and not text.rstrip().endswith("?")


def question(text: str) -> bool:
    """It ends with a question mark or begins as a question does."""
    return text.rstrip().endswith("?") or _first(text) in ASKING


def telegraphic(text: str) -> bool:
    """Few words, neither request nor question: nouns and signs."""
    return len(words(text)) <= TERSE and not imperative(text) and _first(text) not in ASKING


def chatty(text: str) -> bool:
    """Long, or in several sentences."""
    several = re.search(r"(?<!e\.g)(?<!i\.e)[.?!…] +\S", text.rstrip())
    return len(text.split()) >= LONG or bool(several)


def indirect(text: str) -> bool:
    """It states a wish, a state or a doubt."""
    return bool(INDIRECT.search(text))


def purpose(text: str) -> bool:
    """It says what the answer is for."""
    return bool(PURPOSE.search(text))


def polite(text: str) -> bool:
    """It has a courtesy."""
    return bool(POLITE.search(text))


def careless(text: str) -> bool:
    """All lower case, and no sign at its end."""
    bare = SLOT.sub("", text).strip()
    return len(words(text)) > 1 and bare == bare.lower() and not bare.endswith((".", "?", "!"))


def named(text: str) -> bool:
    """It names a tool, as git, ruff or pytest."""
    return bool(TOOLS.search(SLOT.sub(" ", text)))


def unnamed(text: str) -> bool:
    """It names no tool."""
    return not named(text)


def placed(text: str) -> bool:
    """It names a file or folder."""
    return bool(PATH.search(text))


def unplaced(text: str) -> bool:
    """It names no file or folder."""
    return not placed(text)


def numbered(text: str) -> bool:
    """It has a number of its own: a line, a count."""
    return bool(re.search(r"(?<![\w.-])\d+(?![\w.-])", text))


def kinded(text: str) -> bool:
    """It says of which kind what it asks about is."""
    return bool(KIND.search(SLOT.sub(" ", text)))


class Spelling:
    """Finds slips: a rare word that is one letter away from a common one."""

    def __init__(self, texts: Iterable[str]) -> None:
        """`texts` are all phrasings: what is often there is taken for right."""
        self._counts = Counter(word for text in texts for word in words(text))
        common = [w for w, n in self._counts.items() if n >= COMMON and len(w) >= 4]
        self._slips = {slip: word for word in common for slip in _slips(word)}

    def slip(self, text: str) -> str:
        """The first misspelt word of a text, or an empty one."""
        return next((w for w in words(text) if self._misspelt(w)), "")

    def __call__(self, text: str) -> bool:
        """It has a slip, or the spelling of a hurried hand."""
        return bool(self.slip(text))

    def _misspelt(self, word: str) -> bool:
        return word in CHAT or (
            word in self._slips and self._counts[word] * RARE <= self._counts[self._slips[word]]
        )


def _slips(word: str) -> Iterable[str]:
    """A word with two letters swapped, one doubled, or one inside left out."""
    for at in range(1, len(word)):
        if word[at] != word[at - 1]:
            yield word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
        yield word[:at] + word[at - 1] + word[at:]
    for at in range(1, len(word) - 1):
        if len(word) > 4:
            yield word[:at] + word[at + 1 :]


def rules(texts: Iterable[str]) -> Mapping[str, Rule]:
    """Register → its rule, with the spelling of all `texts`."""
    return {
        "imperative": imperative,
        "question": question,
        "telegraphic": telegraphic,
        "chatty": chatty,
        "indirect": indirect,
        "with a purpose": purpose,
        "polite": polite,
        "careless": careless,
        "misspelt": Spelling(texts),
        "names a tool": named,
        "names no tool": unnamed,
    }


PLACES: Mapping[str, Rule] = {
    "names a file": placed,
    "names no file": unplaced,
    "has a number": numbered,
    "names a kind": kinded,
}
"""Registers of a question with its values filled in; a phrasing has its intent's slots."""
