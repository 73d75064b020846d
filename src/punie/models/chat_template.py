"""A dialect as a Jinja chat template, for programs that are not Punie: servers, transformers.

It writes what `punie.prompt.render` writes, from messages as servers have them: an assistant's
program is the argument `code` of its first tool call, a tool's message its output. What it cannot
do is to keep control tokens in foreign text apart from its own; Punie itself does not use it.
"""

from __future__ import annotations

import json

from punie.prompt import TURN_CLOSE, Dialect

_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'tool' -%}
{{ OUTPUT_OPEN + message['content'] + OUTPUT_CLOSE + '\\n' }}
{%- else -%}
{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['tool_calls'] -%}
{%- if message['content'] and message['content'].strip() -%}
{{ message['content'].strip() + PREAMBLE_CLOSE }}
{%- endif -%}
{{ CODE_OPEN + message['tool_calls'][0]['function']['arguments']['code'] + CODE_CLOSE }}
{%- else -%}
{{ message['content'] }}
{%- endif -%}
{{ TURN_CLOSE + '\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""


def chat_template(dialect: Dialect) -> str:
    """The template of a dialect, as `tokenizer.chat_template` of a GGUF or `chat_template` of a
    Hugging Face tokenizer."""
    text = _TEMPLATE
    for name, value in (
        ("OUTPUT_OPEN", dialect.output_open),
        ("OUTPUT_CLOSE", dialect.output_close),
        ("PREAMBLE_CLOSE", dialect.preamble_close),
        ("CODE_OPEN", dialect.code_open),
        ("CODE_CLOSE", dialect.code_close),
        ("TURN_CLOSE", TURN_CLOSE),
    ):
        text = text.replace(name, json.dumps(value))
    return text
