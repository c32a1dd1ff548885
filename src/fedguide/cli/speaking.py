"""The voice a configuration names: none, or a language model that may phrase answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedguide.errors import ConfigError

if TYPE_CHECKING:
    from fedguide.config import VoiceSettings
    from fedguide.guide.asked import Asked
    from fedguide.guide.voice import Said, Voice

_LONGEST_KEY = 4096


def voice_from(settings: VoiceSettings) -> Voice | None:
    """The voice of ``[voice]``; ``None`` without an address.

    Raises:
        ConfigError: a value is out of range, or the key's file cannot be read.
    """
    if not settings.address:
        return None
    from fedguide.guide.model_voice import VoicePlan, voice_of

    return voice_of(VoicePlan(settings.address, settings.model, settings.timeout_s, _key(settings)))


def said_of(voice: Voice | None, answer: Asked, currency: str) -> Said:
    """The answer in words: the engine's, or a model's that says the same."""
    import asyncio

    from fedguide.guide.voice import ENGINE, Said, found_of

    if voice is None:
        return Said(answer.said, ENGINE)
    items = [(pick.title or pick.item_id, pick.price) for pick in answer.picks]
    found = found_of(
        answer.lang,
        answer.understood,
        answer.unknown,
        answer.total,
        items,
        currency,
        answer.said,
    )

    async def spoken() -> Said:
        return await voice(found)

    return asyncio.run(spoken())


def _key(settings: VoiceSettings) -> str:
    """The service's key: of the variable, or the content of the file."""
    key, path = settings.key.get_secret_value(), settings.key_file
    if path is None:
        return key
    if key:
        raise ConfigError("voice has a key and a key_file; one of them is meant")
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(_LONGEST_KEY + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"voice key_file {path} cannot be read: {type(error).__name__}") from None
    if not 0 < len(text) <= _LONGEST_KEY:
        raise ConfigError(f"voice key_file {path} must hold 1 to {_LONGEST_KEY} characters")
    return text
