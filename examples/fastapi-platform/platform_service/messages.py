"""What end users are told of refusals, in English and Chinese.

A client branches on the name of a denial, which is stable; the engine's own message is for developers. So a service
says it in its users' languages by that name: add a language to `messages.json`, and it is spoken.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

_SENTENCES: Final[dict[str, dict[str, str]]] = json.loads(Path(__file__).with_name("messages.json").read_text("utf-8"))
LANGUAGES: Final = tuple(_SENTENCES)
"""The languages there are; the first is spoken to whoever asks for none of them."""

_RANGE: Final = re.compile(r"\s*([a-z]{1,8}|\*)(?:-[a-z0-9-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*", re.IGNORECASE)


def language_of(accepted: str | None) -> str:
    """Choose a language by a header `Accept-Language`.

    >>> language_of("fr;q=0.9, zh-TW;q=0.8, en;q=0.5")
    'zh'
    """
    wanted: dict[str, float] = {}
    for part in (accepted or "")[:1000].split(","):
        if match := _RANGE.fullmatch(part):
            language, weight = match[1].lower(), float(match[2] or 1)
            wanted[language] = max(weight, wanted.get(language, 0))
    weights = {language: wanted.get(language, wanted.get("*", 0)) for language in LANGUAGES}
    return max(LANGUAGES, key=lambda language: weights[language])


def sentence(name: str, language: str) -> str:
    """Say what happened, by the name of a denial; for a name without a sentence that something failed."""
    known = _SENTENCES[language]
    return known.get(name, known["internal"])


def sentences(language: str) -> dict[str, str]:
    """List every sentence of a language by name, for clients that keep them."""
    return dict(_SENTENCES[language])
