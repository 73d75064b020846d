"""The official conformance suite of the Model Context Protocol, against `punie mcp --http`.

    .venv/bin/python benchmarks/clients/drive_conformance.py --modules DIR [--node PATH/OF/node]

Needs Node 22 and `npm install @modelcontextprotocol/conformance` in DIR. What has to fail, and why,
stands in `conformance.yml`: the suite ends with status 0 when just that fails.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scene import HERE, Scene, play


@contextlib.contextmanager
def served(scene: Scene, *options: str) -> Iterator[str]:
    """The address of `punie mcp` over HTTP, while it runs."""
    server = subprocess.Popen(
        [sys.executable, "-m", "punie", "mcp", "--http", "127.0.0.1:0", *options],
        cwd=scene.shop,
        env=scene.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr
    try:
        yield server.stderr.readline().split()[-1]
    finally:
        server.terminate()
        told = server.stderr.read()
        scene.expect("the server ends with status 0", server.wait() == 0)
        scene.heading("What the server said")
        scene.note(told)


def story(scene: Scene) -> None:
    """Run the suite and read every scenario's checks."""
    site = scene.folder / "site"
    info = site / "suite_tools-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: suite_tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[punie.tools]\nsuite_tools = suite_tools\n")
    shutil.copy(HERE / "suite_tools.py", site)
    scene.env["PYTHONPATH"] = f"{site}:{scene.env.get('PYTHONPATH', '')}".rstrip(":")
    package = "@modelcontextprotocol/conformance"
    version = json.loads(scene.module(f"{package}/package.json").read_text("utf-8"))["version"]
    scene.note(f"# {package} {version}")
    results = scene.folder / "results"
    with served(scene) as url:
        done = scene.run(
            scene.given.node or "node",
            scene.module(f"{package}/dist/index.js"),
            *("server", "--url", url, "--output-dir", str(results)),
            *("--expected-failures", str(HERE / "conformance.yml")),
            seconds=300,
        )
    scene.heading("Every check")
    for folder in sorted(results.iterdir(), key=lambda path: path.name):
        show(scene, folder)
    scene.heading("The suite's own summary")
    found = re.search(r"Total: .*", done.stdout)
    scene.note(found[0] if found else done.stdout + done.stderr)
    scene.expect("the suite has run", found)
    scene.expect("what fails is what has to: status 0", done.returncode == 0)


def show(scene: Scene, folder: Path) -> None:
    """Write down what a scenario found."""
    name = re.sub(r"^server-|-20\d\d-.*$", "", folder.name)
    for check in json.loads((folder / "checks.json").read_text("utf-8")):
        why = (
            f": {check['errorMessage'].partition('; there are')[0]}"
            if "errorMessage" in check
            else ""
        )
        scene.note(f"{check['status'].lower():<8} {name} / {check['id']}{why}"[:300])


if __name__ == "__main__":
    sys.exit(play("conformance", story))
