"""Answers as OpenTelemetry spans, by the semantic conventions for generative AI (off by default).

A trace is an answer: `invoke_agent punie`, below it `chat MODEL` for each reply of the model and
`execute_tool TOOL` for each call. Spans hold names, times, counts and kinds of failure: never a
question, a program, an argument, a path or an answer. They go to the collector that the standard
`OTEL_EXPORTER_OTLP_*` variables name (default: port 4318 of this machine).
"""

from __future__ import annotations

import functools
import importlib
import time
from typing import Any

from punie.agent import Answer
from punie.errors import UsageError

SECONDS = 2.0
"""Longest wait for the collector: a collector that is away must not keep a command from ending."""


def export(answer: Answer, provider: Any = None) -> None:
    """Hand over the spans of an answer that was just given; they are sent in the background.

    `provider` is an OpenTelemetry `TracerProvider`. Raises `UsageError` that names the extra when
    OpenTelemetry is not installed.
    """
    trace = _module("opentelemetry.trace")
    tracer = (provider or _provider()).get_tracer("punie")
    end = time.time_ns()
    now = end - _ns(answer.ms["total"])
    model = answer.model.get("name", "")
    known = {"gen_ai.provider.name": answer.model.get("engine", ""), "gen_ai.request.model": model}
    tokens = {
        "gen_ai.usage.input_tokens": sum(step.prompt_tokens for step in answer.steps),
        "gen_ai.usage.output_tokens": sum(step.completion_tokens for step in answer.steps),
    }
    named = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "punie"}
    whole = tracer.start_span(
        "invoke_agent punie",
        attributes=named | known | tokens | {"punie.answer.kind": answer.kind},
        start_time=now,
    )
    inside = trace.set_span_in_context(whole)

    def span(name: str, ms: float, attributes: dict[str, Any], failed: bool, kind: Any) -> None:
        nonlocal now
        one = tracer.start_span(
            name, context=inside, kind=kind, attributes=attributes, start_time=now
        )
        now += _ns(ms)
        _end(trace, one, now, failed, "tool_error")

    for step in answer.steps:
        chat: dict[str, Any] = {"gen_ai.operation.name": "chat"} | known
        chat["gen_ai.usage.input_tokens"] = step.prompt_tokens
        chat["gen_ai.usage.output_tokens"] = step.completion_tokens
        span(f"chat {model}", step.ms, chat, False, trace.SpanKind.CLIENT)
        for call in step.calls:
            used = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": call.tool}
            used["gen_ai.tool.type"] = "function"
            name = f"execute_tool {call.tool}"
            span(name, call.ms, used, not call.ok, trace.SpanKind.INTERNAL)
    _end(trace, whole, max(end, now), not answer.ok, f"exit_status_{answer.exit_status}")


def _end(trace: Any, span: Any, moment: int, failed: bool, kind: str) -> None:
    if failed:
        span.set_attribute("error.type", kind)
        span.set_status(trace.StatusCode.ERROR)
    span.end(moment)


@functools.cache
def _provider() -> Any:
    """The provider of this process; at its end what is not sent yet is sent."""
    sdk = _module("opentelemetry.sdk.trace")
    exporter = _module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    resource = _module("opentelemetry.sdk.resources").Resource.create({"service.name": "punie"})
    provider = sdk.TracerProvider(resource=resource)
    sender = exporter.OTLPSpanExporter(timeout=SECONDS)
    batches = _module("opentelemetry.sdk.trace.export").BatchSpanProcessor(sender)
    provider.add_span_processor(batches)
    return provider


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"the setting `telemetry` needs the extra 'telemetry' ({error}):"
            " pip install 'punie[telemetry]'"
        ) from None


def _ns(ms: float) -> int:
    return round(ms * 1e6)
