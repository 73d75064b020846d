"""The OpenTelemetry export as a collector gets it: one trace an answer, nothing that was said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from workbench import Bench

ON: dict[str, Any] = {"PUNIE_TELEMETRY": "true"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("telemetry"))


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.bodies: list[bytes] = []

    @property
    def env(self) -> dict[str, Any]:
        return ON | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server_port}"}

    def spans(self) -> list[Any]:
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                found += [span for scope in resource.scope_spans for span in scope.spans]
        return found


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on standard error."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def program(code: str) -> str:
    return f"<jupyter_code>{code}"


def values(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_an_answer_is_one_trace_without_what_was_said(bench: Bench, collector: Collector) -> None:
    code = "print(git_log(count=3).commit_count, read_file('shop/orders.py').line_count)"
    ran = bench.punie("ask", "how is zebra?", replies=[program(code)], **collector.env)
    assert ran.status == 0, ran.err
    spans = {span.name: span for span in collector.spans()}
    whole = spans.pop("invoke_agent punie")
    assert {name.split()[0] for name in spans} == {"chat", "execute_tool"}
    assert {"execute_tool git_log", "execute_tool read_file"} <= set(spans)
    assert values(whole)["gen_ai.operation.name"] == "invoke_agent"
    assert values(whole)["gen_ai.provider.name"] == "scripted"
    assert values(spans["execute_tool git_log"])["gen_ai.tool.name"] == "git_log"
    assert not whole.status.code
    for span in spans.values():
        assert (span.trace_id, span.parent_span_id) == (whole.trace_id, whole.span_id)
        assert whole.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= whole.end_time_unix_nano
    sent = b"".join(collector.bodies)
    for said in ("zebra", "orders.py", "commit_count", str(bench.root)):
        assert said.encode() not in sent


def test_a_failure_is_marked(bench: Bench, collector: Collector) -> None:
    code = "print(read_file('nowhere.py').text)"
    ran = bench.punie("ask", "show it", replies=[program(code)] * 3, **collector.env)
    assert ran.status == 1
    spans = collector.spans()
    failed = {span.name for span in spans if values(span).get("error.type")}
    assert failed == {"invoke_agent punie", "execute_tool read_file"}
    assert b"nowhere" not in b"".join(collector.bodies)


def test_it_is_off_and_a_repository_cannot_switch_it_on(bench: Bench, collector: Collector) -> None:
    settings = Path(bench.root / "punie.toml")
    settings.write_text("telemetry = true\n")
    env = {name: value for name, value in collector.env.items() if name not in ON}
    ran = bench.punie("ask", "clean?", replies=[program("print(git_status().clean)")], **env)
    settings.unlink()
    assert ran.status == 0, ran.err
    assert collector.bodies == []


def test_a_collector_that_is_away_costs_no_answer(bench: Bench) -> None:
    env = ON | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    ran = bench.punie("ask", "clean?", replies=[program("print(git_status().clean)")], **env)
    assert (ran.status, ran.out) == (0, "False\n")
    assert "Traceback" not in ran.err
    assert bench.left() == []
