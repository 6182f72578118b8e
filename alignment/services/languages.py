"""A guess at the language of a text, good enough for the counts of a datasheet."""

import re

_SCRIPTS = [
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
]
_COMMON = {
    "en": "the of and to in is you that it for on with as are this be what how can my i",
    "de": "der die und das ist nicht ein eine ich zu den mit wie was auf für sie es wir kann",
    "fr": "le la les de des et est un une que pour dans je vous pas comment sur qui avec mon",
    "es": "el la los las de que y en un una es por para con no cómo qué mi se del",
    "it": "il la che di e un una per non è come con sono mi del della le gli cosa si",
    "pt": "o a os de que e um uma para com não como é do da em no na por meu",
    "nl": "de het een en van is dat niet ik je op te met voor hoe wat zijn die er aan",
    "pl": "i w na nie się z do to jest że jak co o mi czy po dla są za od",
    "tr": "ve bir bu için ne nasıl ile de da mi çok ben olarak var daha gibi en değil",
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_SEEN = 300


_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str:
    """A language code, or `other` where nothing tells."""
    text = text[:_SEEN]
    if not text.isascii():
        for language, script in _SCRIPTS:
            if len(script.findall(text)) * 4 > len(text.replace(" ", "")):
                return language
    words = set(_WORD.findall(text.lower()))
    scores = [(len(words & known), language) for language, known in _WORDS.items()]
    most = max(count for count, _ in scores)
    return next(language for count, language in scores if count == most) if most else "other"
