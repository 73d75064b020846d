"""The dialect `qwen3_coder` beside a chat template written from a description of the model's own.

The published template of Qwen3-Coder cannot be fetched by a test. Public copies of it agree on what
is said below in words, and TEMPLATE says the same in Jinja, written here:

- a turn is `<|im_start|>`, the role, a line break, the text, `<|im_end|>`, a line break;
- an assistant's text before a call is stripped and followed by a blank line; without text the call
  stands on the line after the role;
- a call is `<tool_call>`, `<function=NAME>`, for each argument `<parameter=NAME>`, its value and
  `</parameter>`, then `</function>` and `</tool_call>`, each on a line of its own; no line break
  stands between `</tool_call>` and `<|im_end|>`;
- results are turns of the user: `<tool_response>`, the text, `</tool_response>`, each on a line of
  its own, so that a line break stands before `<|im_end|>`;
- a system message of ours keeps the template from adding its own; the section on tools that it
  would write from JSON schemas is not used: the tuned model knows its tools.

What this does not show: that those copies are what a given model was trained with. A later version
of one public server leaves out the line break after `</tool_response>`.
"""

from __future__ import annotations

import pytest

from punie.prompt import QWEN3_CODER, Message, parse, render

jinja2 = pytest.importorskip("jinja2", reason="comes with the extras `train` and `mlx`")

TEMPLATE = """\
{%- macro call(function) -%}
<tool_call>
<function={{ function.name }}>
{% for name, value in function.arguments.items() -%}
<parameter={{ name }}>
{{ value }}
</parameter>
{% endfor -%}
</function>
</tool_call>
{%- endmacro -%}
{%- for message in messages -%}
{%- if message.role == 'tool' -%}
{{ '<|im_start|>user\\n<tool_response>\\n' + message.content -}}
{{ '\\n</tool_response>\\n<|im_end|>\\n' }}
{%- else -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.tool_calls -%}
{{ message.content.strip() + '\\n\\n' if message.content.strip() else '' }}
{%- for each in message.tool_calls -%}
{{ call(each.function) }}
{%- endfor -%}
{%- else -%}
{{ message.content }}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""

CONVERSATION: list[Message] = [
    {"role": "system", "content": "Be Punie."},
    {"role": "user", "content": "who calls get_user?\nand since when?"},
    {
        "role": "assistant",
        "content": " I'll use find_references to see where it is used. ",
        "code": 'r = find_references(symbol="get_user")\nprint(r.reference_count)',
    },
    {"role": "tool", "content": "3\n4"},
    {"role": "assistant", "content": "The answer: 3"},
    {"role": "user", "content": "show them"},
    {"role": "assistant", "content": "", "code": "print(1)"},
    {"role": "tool", "content": "1"},
]


def by_template(messages: list[Message]) -> str:
    """The prompt as the template writes it from a server's messages."""
    plain = [
        {
            "role": message["role"],
            "content": message["content"],
            "tool_calls": [
                {"function": {"name": "execute_code", "arguments": {"code": message["code"]}}}
            ]
            if "code" in message
            else [],
        }
        for message in messages
    ]
    opened = messages[-1]["role"] != "assistant"
    template = jinja2.Environment(autoescape=False).from_string(TEMPLATE)
    return str(template.render(messages=plain, add_generation_prompt=opened))


@pytest.mark.parametrize("turns", range(1, len(CONVERSATION) + 1))
def test_a_prompt_is_what_the_template_writes(turns: int) -> None:
    messages = CONVERSATION[:turns]
    assert "".join(piece.text for piece in render(messages, QWEN3_CODER)) == by_template(messages)


def test_a_reply_of_the_template_is_understood() -> None:
    reply = by_template(CONVERSATION[:3]).rpartition("<|im_start|>assistant\n")[2]
    found = parse(reply, QWEN3_CODER)
    assert found.code == CONVERSATION[2]["code"]
    assert found.content == CONVERSATION[2]["content"].strip()


def test_a_difference_would_be_seen() -> None:
    other = [*CONVERSATION[:3], {**CONVERSATION[3], "content": "3\n4\n"}]
    assert by_template(other) != by_template(CONVERSATION[:4])  # type: ignore[arg-type]
