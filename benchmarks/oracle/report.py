"""The oracle's report: precision, recall, silent empties, every disagreement with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from case import NAMES, Case
from scopes import Place

REASONS = {
    "said": "the server does not know the value's type, so the place is not counted; our note says "
    "that there are such places",
    "alias": "second name of an import, `x as y`: one import, which we count once, at `x`",
    "export": "a string in `__all__`: no use for us, named in our note",
    "quoted": "an annotation in quotes, which jedi does not read",
    "renamed": "used under the name that it was imported as, where the judges stop",
    "jedi": "jedi does not infer the value's type, or gives up on the import",
    "basedpyright": "basedpyright does not infer the value's type, or not the import",
    "both": "neither judge infers the value's type; the trees settle it for us",
    "mistaken": "not ours; by the trees the place means something else",
    "one": "not ours; one judge alone has it and the trees do not know",
    "outside": "declared outside of the repository: the three have other stubs and other libraries",
    "several": "one more declaration of the same thing, where we and others share at least one",
    "failed": "our call failed and said why: no answer, not an empty one",
    "ours open": "ours alone; neither judge nor the trees know: each is to be looked at by hand",
    "OURS WRONG": "ours, and by the trees it means something else: a mistake of ours",
    "OURS MISSED": "not ours, and neither said nor explained: a miss of ours",
}
"""Why the three differ, by key; the last two are ours to mend."""


def reason(case: Case, place: Place) -> str:
    """The key of the reason why not all three have a place, or why it is not right."""
    verdict, kind, note = case.verdicts[place], case.kinds[place], case.note
    who = {name for name in NAMES if place in case.answers[name]}
    if "ours" in who:
        return _ours(case, place, who)
    if kind in ("alias", "export"):
        return kind
    if case.error:
        return "failed"
    if case.asked == "definition" and case.answers["ours"] & case.right():
        return "several"
    if place.file.startswith("<"):
        return "outside"
    if verdict == "wrong":
        return "mistaken"
    if (kind == "member" and "not counted" in note) or "not looked at" in note:
        return "said"
    return "one" if verdict == "open" else "OURS MISSED"


def _ours(case: Case, place: Place, who: set[str]) -> str:
    verdict, kind = case.verdicts[place], case.kinds[place]
    if verdict == "wrong":
        return "OURS WRONG"
    if place.file.startswith("<"):
        return "outside"
    if verdict == "open":
        return "ours open"
    if kind == "quoted" and who == {"ours", "basedpyright"}:
        return "quoted"
    if kind == "name" and who == {"ours"}:
        return "renamed"
    missing = set(NAMES) - who
    return missing.pop() if len(missing) == 1 else "both"


def report(cases: list[Case], sizes: dict[str, int], versions: dict[str, str]) -> str:
    """The whole report as Markdown."""
    lines = [
        "# Our navigation against two others",
        "",
        "Written by `benchmarks/oracle/oracle.py`; its docstring says what right, wrong, open and "
        "said mean.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "Repositories: " + ", ".join(f"{n} ({files} Python files)" for n, files in sizes.items())
        + ".",
        "",
    ]  # fmt: skip
    for asked in ("references", "definition"):
        lines += _table(asked, [c for c in cases if c.asked == asked])
    lines += _summary(cases) + _disagreements(cases)
    return "\n".join(lines) + "\n"


def _table(asked: str, cases: list[Case]) -> list[str]:
    titles = {"references": "Uses of a symbol", "definition": "Declaration of a use"}
    lines = [
        f"## {titles[asked]}",
        "",
        "| repository | questions | by | right | wrong | missed | open | precision | recall "
        "| median ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for repository in [*dict.fromkeys(c.repository for c in cases), "all"]:
        some = [c for c in cases if repository in ("all", c.repository)]
        for name in NAMES:
            right, wrong, missed, open_ = map(sum, zip(*(c.tally(name) for c in some), strict=True))
            precision = _percent(right, right + wrong)
            recall = _percent(right, right + missed)
            ms = median(c.milliseconds[name] for c in some)
            lines.append(
                f"| {repository} | {len(some)} | {name} | {right} | {wrong} | {missed} | {open_} "
                f"| {precision} | {recall} | {ms:.0f} |"
            )
    return [*lines, ""]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "–"


def _summary(cases: list[Case]) -> list[str]:
    asked = [c for c in cases if c.asked == "references"]
    silent = [c for c in asked if c.silent()]
    missed = [(c, p) for c in asked for p in c.right() - c.answers["ours"] if not c.excused(p)]
    said = [p for c, p in missed if reason(c, p) == "said"]
    failed = [c for c in cases if c.error]
    marks = [m for c in asked for m in c.marks]
    return [
        "## What an answer hides",
        "",
        f"- Silent empties: {len(silent)}" + "".join(f"; {c.symbol.qualified}" for c in silent),
        f"- Right places that our references leave out: {len(missed)}, of them said in the note: "
        f"{len(said)}",
        f"- Questions that our tools refused with a reason: {len(failed)} of {len(cases)}",
        f"- Places whose mark `is_override` the trees or basedpyright can check: {len(marks)}, "
        f"right: {sum(marks)}",
        "",
    ]


def _disagreements(cases: list[Case]) -> list[str]:
    groups: dict[str, list[tuple[Case, Place]]] = defaultdict(list)
    for case in cases:
        for place, verdict in sorted(case.verdicts.items()):
            if verdict != "right" or any(place not in case.answers[name] for name in NAMES):
                groups[reason(case, place)].append((case, place))
        if case.error and not case.verdicts:
            groups["failed"].append((case, case.place))
    lines = ["## Every disagreement", "", "| reason | places |", "|---|---|"]
    known = [key for key in REASONS if key in groups]
    lines += [f"| {REASONS[key]} | {len(groups[key])} |" for key in known]
    for key in reversed(known):
        lines += ["", f"### {REASONS[key]} ({len(groups[key])})", ""]
        lines += _listed(groups[key])
    return [*lines, ""]


def _listed(group: Sequence[tuple[Case, Place]]) -> list[str]:
    """One line for each place."""
    lines = []
    for case, place in group:
        who = "+".join(name for name in NAMES if place in case.answers.get(name, ()))
        where = f"{place.file}:{place.line}:{place.column}" if place.line else place.file
        of = f"{case.repository} `{case.symbol.qualified}`"
        if case.asked == "definition":
            of += f" used at {case.place.file}:{case.place.line}:{case.place.column}"
        text = case.texts.get(place, "")[:90].replace("`", "'")
        error = f" – {case.error}" if case.error else ""
        lines.append(f"- {of}: {where} ({who or 'nobody'}) `{text}`{error}")
    return lines
