"""One question of the oracle with the answers of the three and the verdict on each place."""

from __future__ import annotations

from dataclasses import dataclass, field

from scopes import Declared, Place

NAMES = ("ours", "basedpyright", "jedi")


@dataclass
class Case:
    """One symbol, or one use of it, with what each of the three answered."""

    repository: str
    asked: str
    """`references` or `definition`."""
    symbol: Declared
    place: Place
    """Where the name asked about stands."""
    answers: dict[str, set[Place]] = field(default_factory=dict)
    """By name of who answered."""
    error: str = ""
    """Why our tool failed, if it did."""
    note: str = ""
    """What our tool says about uses that it does not count."""
    milliseconds: dict[str, float] = field(default_factory=dict)
    verdicts: dict[Place, str] = field(default_factory=dict)
    """`right`, `wrong` or `open` for each place that anyone has."""
    kinds: dict[Place, str] = field(default_factory=dict)
    """What stands there: see `Arbiter.kind`."""
    texts: dict[Place, str] = field(default_factory=dict)
    """The line's text."""
    marks: list[bool] = field(default_factory=list)
    """For each place whose mark `is_override` trees or basedpyright tell, whether it is right."""

    def right(self) -> set[Place]:
        """The right places."""
        return {place for place, verdict in self.verdicts.items() if verdict == "right"}

    def excused(self, place: Place) -> bool:
        """Whether leaving a use out is a matter of what is counted, not of knowing it.

        The second name of `x as y` is one import with the first; `__all__` holds strings.
        """
        return self.kinds[place] in ("alias", "export")

    def tally(self, name: str) -> tuple[int, int, int, int]:
        """Right, wrong, missed and open: places of references; of a definition, one of several
        declarations of the same thing is enough.
        """
        has, right = self.answers[name], self.right()
        wrong = sum(self.verdicts[place] == "wrong" for place in has)
        open_ = sum(self.verdicts[place] == "open" for place in has)
        if self.asked == "definition":
            return int(bool(has & right)), wrong, int(bool(right) and not has & right), open_
        missed = sum(not self.excused(place) for place in right - has)
        return len(has & right), wrong, missed, open_

    def silent(self) -> bool:
        """Whether our answer is empty, says nothing of unseen uses, and there are right places."""
        missed = [p for p in self.right() if not self.excused(p)]
        said = "not counted" in self.note or "not looked at" in self.note
        return not self.answers["ours"] and bool(missed) and not self.error and not said
