"""Named chat templates, for base models that have none of their own."""

from __future__ import annotations

from shared.errors import BadInput

CHAT_TEMPLATES: dict[str, str] = {
    # The format of Bai et al. 2022 and of the reference implementation of DPO.
    "human_assistant": (
        # Line breaks are in expressions, since a break right after a block's tag would be trimmed.
        "{% for message in messages %}"
        "{% if message['role'] == 'assistant' %}{{ '\n\nAssistant: ' + message['content'] + eos_token }}"
        "{% else %}{{ '\n\nHuman: ' + message['content'] }}{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '\n\nAssistant:' }}{% endif %}"
    ),
    "chatml": (
        "{% for message in messages %}"
        "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}


def chat_template(name: str) -> str:
    """The Jinja text of a named template. Raises `BadInput` for an unknown name."""
    try:
        return CHAT_TEMPLATES[name]
    except KeyError:
        known = ", ".join(CHAT_TEMPLATES)
        raise BadInput("chat_template", f"{name!r} is unknown", f"Use one of: {known}; or leave it out.") from None
