"""What a person may type: checked once, for every door."""

from django.conf import settings

from config.errors import Invalid


def checked(text: object, *, field: str = "text") -> str:
    """`text`, when it can be stored and answered. Raises Invalid saying what is wrong."""
    if not isinstance(text, str) or not text.strip():
        raise Invalid("Write something first.", fields={field: "is empty"})
    limit = settings.CHAT_MAX_CHARS
    if len(text) > limit:
        raise Invalid(
            f"The message has {len(text):,} characters; at most {limit:,} can be sent.",
            fields={field: "is too long"},
        )
    return storable(text, field=field)


def storable(text: str, *, field: str) -> str:
    """`text`, when the database can keep it: no NUL, no half of a surrogate pair."""
    if "\x00" in text:
        raise Invalid("The message has a NUL character.", fields={field: "has a NUL"})
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(
            "The message has half of a surrogate pair.", fields={field: "is not valid Unicode"}
        ) from None
    return text
