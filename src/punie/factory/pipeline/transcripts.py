"""Every transcript of a pipeline's page, and the few lines of script that search them.

`report.html#q=word+word` opens the page with a search; without script all transcripts are shown.
"""

from __future__ import annotations

from html import escape
from typing import Any

STYLE = """
.search { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; margin: .6rem 0; }
.search input[type=search] { flex: 1 1 16rem; font: inherit; padding: .35rem .5rem;
  color: inherit; background: var(--paper); border: 1px solid var(--soft); border-radius: 4px; }
.case { border-bottom: 1px solid var(--line); }
.case summary { cursor: pointer; padding: .25rem 0; }
.case pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace;
  border-left: 3px solid var(--line); margin: .4rem 0; padding: .1rem 0 .1rem .7rem; }
.case .which { color: var(--soft); font-size: .85em; }
"""
SCRIPT = """
'use strict';
const field = document.getElementById('search');
const failed = document.getElementById('failed');
const count = document.getElementById('count');
const cases = Array.from(document.querySelectorAll('.case'));
const texts = cases.map(one => one.textContent.toLowerCase());
function search() {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let found = 0;
  cases.forEach((one, number) => {
    const fits = words.every(word => texts[number].includes(word));
    one.hidden = !fits || (failed.checked && one.dataset.passed === '1');
    found += one.hidden ? 0 : 1;
  });
  count.textContent = found + ' of ' + cases.length;
}
if (field) {
  const asked = new URLSearchParams(location.hash.slice(1)).get('q');
  if (asked) { field.value = asked; }
  field.addEventListener('input', search);
  failed.addEventListener('change', search);
  search();
}
"""


def section(reports: dict[str, dict[str, Any]]) -> str:
    """All cases of all suites; what the model before answered stands with them."""
    parts = []
    for name, report in reports.items():
        if name.endswith(".released"):
            continue
        before = {c["id"]: c for c in reports.get(f"{name}.released", {}).get("cases", [])}
        parts += [_case(name, case, before.get(case["id"])) for case in report["cases"]]
    if not parts:
        return ""
    return (
        "<h2>Transcripts</h2><div class=search><input type=search id=search "
        'placeholder="Words that must all occur" aria-label="Search the transcripts">'
        "<label><input type=checkbox id=failed> only what failed</label>"
        f"<output id=count>{len(parts)} of {len(parts)}</output></div>{''.join(parts)}"
    )


def _case(suite: str, case: dict[str, Any], before: dict[str, Any] | None) -> str:
    mark = "<span class=fine>✓</span>" if case["passed"] else "<span class=alarm>✗</span>"
    told = ""
    if before:
        word = "passed" if before["passed"] else "failed"
        told = f"<p class=soft>The model before {word}:</p>{_talk(before)}"
    return (
        f'<details class=case data-passed="{int(case["passed"])}"><summary>{mark} '
        f"{escape(case['query'])} <span class=which>{escape(suite)} · "
        f"{escape(case['category'])} · {escape(case['id'])}</span></summary>"
        f"{_talk(case)}{told}</details>"
    )


def _talk(case: dict[str, Any]) -> str:
    """Faults, programs with what they printed, and the answer."""
    faults = "".join(f"<li class=alarm>{escape(fault)}</li>" for fault in case["faults"])
    parts = [f"<ul>{faults}</ul>"] if faults else []
    for step in case["steps"]:
        if step["code"]:
            parts.append(f"<pre>{escape(step['code'])}</pre>")
        if step["error"]:
            parts.append(f"<p class=alarm>{escape(step['error'])}</p>")
    parts.append(f"<pre>{escape(case['answer'])}</pre>")
    return "".join(parts)
