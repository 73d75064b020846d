"""How near is too near: to a suite's question, and to another repository."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from audited import clean, found
from punie.factory.audit import leaks
from punie.factory.audit.nearness import nearness, without_values
from punie.factory.audit.norms import Norms
from punie.factory.examples import selection
from punie.factory.suite import load_suite


def asked(phrasing: str, question: str = "a question of its own") -> dict[str, Any]:
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": question}]
    return {"phrasing": phrasing, "messages": messages}


def test_rows_near_a_suite_are_dropped_and_counted() -> None:
    """Its longest question, with words added until it is as near as is still a leak, and then with
    more until it is none."""
    cases = load_suite("development").cases
    bare = max((without_values(c.query, c.references) for c in cases), key=len)
    near = far = bare
    for word in ("quickly", "today", "hereabouts", "exactly", "nowadays", "twice", "jointly") * 9:
        far += f" {word}x{len(far)}"
        if nearness(bare, far) >= 0.8:
            near = far
        if nearness(bare, far) < 0.7:
            break
    assert 0.8 <= nearness(bare, near) < 0.9
    rejects: Counter[str] = Counter()
    kept = selection.without_suites([asked(near), asked(far), asked("x", cases[0].query)], rejects)
    assert [row["phrasing"] for row in kept] == [far]
    assert rejects == {"worded as a question of a suite": 1, "a question of a suite": 1}
    assert selection.NEAR == Norms().near_suite == 0.8


def with_names(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cart.py").write_text("".join(f"def {name}(): ...\n" for name in names))


def test_a_fork_of_a_suites_repository_is_found(tmp_path: Path) -> None:
    subject = found(tmp_path, *clean())
    ours = [f"load_part_{n}" for n in range(30)]
    with_names(tmp_path / "built" / "shop", ours)
    with_names(tmp_path / "built" / "depot", [f"depot_{n}" for n in range(30)])
    with_names(tmp_path / "built" / "harbour", [*ours[:25], *[f"crane_{n}" for n in range(8)]])
    assert leaks.alike(subject) == [], "25 of 38 names: another project of the same kind"
    again = dataclasses.replace(subject, _places={})
    with_names(tmp_path / "built" / "harbour", [*ours[:28], "new_one"])
    (finding,) = leaks.alike(again)
    assert (finding.severity, finding.ids) == ("breach", ("shop",))
    assert "90% of the names of shop and harbour (suite graded)" in finding.sample[0]


def test_validation_is_apart_only_where_the_norm_says_so(tmp_path: Path) -> None:
    subject = found(tmp_path, *clean())
    for name in ("shop", "depot"):
        with_names(tmp_path / "built" / name, [f"load_part_{n}" for n in range(30)])
    (finding,) = leaks.alike(subject)
    assert "(validation)" in finding.sample[0]
    norms = subject.norms.model_copy(update={"own_repositories": False})
    assert leaks.alike(dataclasses.replace(subject, norms=norms)) == []


def test_a_small_repository_is_not_compared(tmp_path: Path) -> None:
    subject = found(tmp_path, *clean())
    for name in ("shop", "depot"):
        with_names(tmp_path / "built" / name, [f"load_part_{n}" for n in range(leaks.NAMES - 1)])
    assert leaks.alike(subject) == []
