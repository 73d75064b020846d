"""A headless browser for tests that look at pages as a person would.

A test module takes the fixture with `from browser import browser`; where there is no browser, its
tests are skipped with the reason. Nothing is downloaded: a Chromium of the system is used.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
OVERFLOW = """() => [...document.querySelectorAll('body *')].filter(each => {
  const box = each.getBoundingClientRect();
  const scrolls = each.closest('table, pre, .scroll');
  return !scrolls && box.width > 0 && box.right > innerWidth + 1;
}).map(each => each.outerHTML.slice(0, 120))"""
"""What stands out of the window, tables and code aside, which scroll by themselves."""


@dataclass
class Page:
    """A page that was opened, and what it did while it was."""

    page: Any
    """Playwright's own object."""
    asked: list[str] = field(default_factory=list)
    """Addresses that it asked for, itself left out."""
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of its console."""

    @property
    def text(self) -> str:
        """All that can be read on it."""
        return str(self.page.inner_text("body"))

    @property
    def outside(self) -> list[str]:
        """Elements that stand out of the window to the right."""
        found: list[str] = self.page.evaluate(OVERFLOW)
        return found

    def style(self, selector: str, name: str) -> str:
        """A property of an element as the browser computed it."""
        script = "([s, n]) => getComputedStyle(document.querySelector(s)).getPropertyValue(n)"
        return str(self.page.evaluate(script, [selector, name]))


Open = Callable[..., Page]
"""`browser(file, width=1280, dark=False)` opens a file and returns the page."""


@pytest.fixture(scope="module")  # its event loop must end with the tests that use it
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Opens files in a new Chromium with a profile of its own."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with ExitStack() as stack:
        engine = stack.enter_context(api.sync_playwright()).chromium

        def opened(file: Path, *, width: int = 1280, dark: bool = False) -> Page:
            context = engine.launch_persistent_context(
                str(tmp_path_factory.mktemp("profile")),
                executable_path=program,
                args=list(FLAGS),
                headless=True,
                viewport={"width": width, "height": 900},
                color_scheme="dark" if dark else "light",
            )
            stack.callback(context.close)
            found = Page(context.new_page())
            address = file.resolve().as_uri()

            def asks(request: Any) -> None:
                if request.url != address:
                    found.asked.append(request.url)

            def says(message: Any) -> None:
                if message.type in ("error", "warning"):
                    found.complaints.append(message.text)

            def fails(error: Any) -> None:
                found.complaints.append(str(error))

            found.page.on("request", asks)
            found.page.on("console", says)
            found.page.on("pageerror", fails)
            found.page.goto(address)
            return found

        yield opened
