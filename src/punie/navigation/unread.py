"""Python files in UTF-16: Python refuses them and the language server sees nothing in them, but an
editor or a shell's `>` may have written one, and what stands there must not be passed over.
"""

from __future__ import annotations

import asyncio

from punie.navigation.outline import Outline, enumerated
from punie.text import both_ways, is_utf16


async def unread(outline: Outline, part: str) -> str:
    """Which files in UTF-16 hold a text, in upper or lower case, in words; else empty."""
    wide = {path: data for path, data in (await outline.texts()).items() if is_utf16(data)}
    if not wide:
        return ""
    wanted = part.lower()

    def search() -> list[str]:
        held = [p for p, d in wide.items() if any(wanted in t.lower() for t in both_ways(d))]
        return sorted(map(outline.workspace.relative, held))

    found = await asyncio.to_thread(search)
    if not found:
        return ""
    return f"{part} stands in files that are UTF-16 and were not read ({enumerated(found)})"
