"""The command line of the Model Context Protocol's inspector, over pipes and over HTTP.

    .venv/bin/python benchmarks/clients/drive_inspector.py --modules DIR [--node PATH/OF/node]

Needs Node and `npm install @modelcontextprotocol/inspector-cli` in DIR. Installed alone it looks
for a `package.json` above its own folder, so it runs from a copy that has one there.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from drive_conformance import served
from scene import Scene, play

CALLS = {
    "git_log": ["count=1"],
    "read_file": ["path=nothing.py"],
    "write_file": ["path=notes.txt", "content=never"],
    "execute_code": ["code=print(list_files().file_count)"],
}


def story(scene: Scene) -> None:
    """The same calls over both transports."""
    package = "@modelcontextprotocol/inspector-cli"
    modules = scene.folder / "copy" / "node_modules"
    shutil.copytree(scene.module("."), modules, symlinks=True)
    (modules / "@modelcontextprotocol" / "package.json").write_text(
        '{"name": "inspector", "version": "1.0.0"}'
    )
    version = json.loads((modules / package / "package.json").read_text("utf-8"))["version"]
    scene.note(f"# {package} {version}")
    command = modules / package / "build" / "cli.js"
    pipes = (sys.executable, "-m", "punie", "mcp")
    scene.heading("Over standard input and output")
    calls(scene, command, *pipes)
    scene.heading("Over HTTP")
    with served(scene) as url:
        calls(scene, command, url, "--transport", "http")
    scene.lines = [line.replace(url, "URL") for line in scene.lines]
    scene.expect("nothing was written", not (scene.shop / "notes.txt").exists())


def calls(scene: Scene, command: Path, *server: str) -> None:
    """What there is, and calls that succeed, fail and are refused."""

    def inspect(*words: str) -> Any:
        done = scene.run(scene.given.node or "node", command, "--cli", *server, *words)
        shown = " ".join(["punie mcp" if "punie" in server else server[0], *words])
        scene.note(f"$ mcp-inspector-cli --cli {shown}")
        found = json.loads(done.stdout)
        brief = found
        if "tools" in found:
            brief = [(tool["name"], tool["annotations"]) for tool in found["tools"]]
        scene.note(json.dumps(brief, ensure_ascii=False)[:900])
        scene.expect("status 0", done.returncode == 0)
        return found

    tools = inspect("--method", "tools/list")["tools"]
    whole = all({"inputSchema", "outputSchema", "annotations"} <= tool.keys() for tool in tools)
    hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
    scene.expect(f"{len(tools)} tools with both schemas", whole and len(tools) >= 20)
    scene.expect("all four annotations", all(hints <= t["annotations"].keys() for t in tools))

    def call(name: str) -> Any:
        words = [word for each in CALLS[name] for word in ("--tool-arg", each)]
        return inspect("--method", "tools/call", "--tool-name", name, *words)

    found = call("git_log")
    scene.expect("the structured content is the result object",
                 found["structuredContent"]["commit_count"] == 1)  # fmt: skip
    text = json.loads(found["content"][0]["text"])
    scene.expect("the text is the same", text == found["structuredContent"])
    found = call("read_file")
    scene.expect("a failure is marked", found["isError"])
    scene.expect("and says why", "nothing.py" in found["structuredContent"]["parse_error"])
    found = call("write_file")
    scene.expect("without elicitation a write is refused", found["isError"])
    found = call("execute_code")
    scene.expect("a program runs", found["structuredContent"]["ok"])


if __name__ == "__main__":
    sys.exit(play("inspector", story))
