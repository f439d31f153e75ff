"""Texts of messages that another program wrote."""

from typing import Any, cast

from google.protobuf.message import Message


def make_storable(message: Message) -> None:
    """Have PostgreSQL take every text in it: NUL, which it does not know, becomes a replacement character."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            _make_texts_storable(message, field.name, value)
        elif field.type == field.TYPE_MESSAGE:
            many: Any = value
            for each in [value] if isinstance(value, Message) else many.values() if hasattr(many, "values") else many:
                if isinstance(each, Message):
                    make_storable(each)


def _make_texts_storable(message: Message, name: str, value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            setattr(message, name, _clean(value))
    else:
        texts = cast("list[str]", value)
        for index, text in enumerate(texts):
            if "\0" in text:
                texts[index] = _clean(text)


def _clean(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
