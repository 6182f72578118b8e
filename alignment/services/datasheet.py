"""A datasheet of a snapshot: what is in it, who said it, under which terms (Gebru et al. 2018)."""

from array import array
from collections import Counter
from typing import Any

import numpy as np

from alignment.services.languages import language_of

#: How many people are named, by their pseudonyms, with what they gave.
NAMED = 50
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Gathering:
    """Figures that are counted while the rows of a snapshot stream by."""

    def __init__(self) -> None:
        self.by_kind: dict[str, Counter] = {}
        self.people: Counter[str] = Counter()
        self._prompts: set[int] = set()
        self.prompts = 0
        self.left_out: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._prompt_length, self._answer_length = array("i"), array("i")
        self._turns: Counter[int] = Counter()
        self._span: list[str] = []

    def prompt(self, prompt_hash: str, prompt: list[dict]) -> None:
        """Look at a prompt, once."""
        key = int(prompt_hash[:16], 16)
        if key in self._prompts:
            return
        self._prompts.add(key)
        self.prompts += 1
        texts = [_text(message.get("content")) for message in prompt]
        self._prompt_length.append(sum(map(len, texts)))
        self._turns[len(texts)] += 1
        self._languages[language_of(texts[-1] if texts else "")] += 1

    def answer(self, text: str, model: str) -> None:
        """Look at an answer that people were shown."""
        self._answer_length.append(len(text))
        self.models[model or "unknown"] += 1

    def record(self, kind: str, split: str, source: str, outcome: str, person: str, at: str):
        """Count a row of a kind."""
        self.by_kind.setdefault(kind, Counter())[split, source, outcome] += 1
        self.people[person] += 1
        if not self._span:
            self._span = [at, at]
        elif at < self._span[0]:
            self._span[0] = at
        elif at > self._span[1]:
            self._span[1] = at

    def close(self) -> None:
        """No more prompts come: what told old ones from new ones is let go."""
        self._prompts = set()

    def counts(self) -> dict[str, Any]:
        """Records of each kind by split, source and outcome, and how many prompts."""
        counts: dict[str, Any] = {
            kind: {"records": tally.total(), **_named(tally)}
            for kind, tally in sorted(self.by_kind.items())
        }
        return counts | {"prompts": self.prompts}

    def sheet(self) -> dict[str, Any]:
        """The figures of the datasheet."""
        total = max(1, self.people.total())
        ranked = sorted(self.people.items(), key=lambda item: (-item[1], item[0]))
        return {
            "prompts": self.prompts,
            "languages": _descending(self._languages),
            "turns": {str(n): count for n, count in sorted(self._turns.items())},
            "characters_of_a_prompt": _spread(self._prompt_length),
            "characters_of_an_answer": _spread(self._answer_length),
            "answers_by_model": _descending(self.models),
            "people": {
                "number": len(ranked),
                "share_of_the_most_active": round(ranked[0][1] / total, 4) if ranked else 0.0,
                "records_by_person": dict(ranked[:NAMED]),
            },
            "first_said": self._span[0] if self._span else None,
            "last_said": self._span[1] if self._span else None,
            "left_out": _descending(self.left_out),
        }


def _text(content: Any) -> str:
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return " ".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _named(tally: Counter) -> dict[str, dict[str, int]]:
    named: dict[str, Counter] = {"split": Counter(), "source": Counter(), "outcome": Counter()}
    for key, count in tally.items():
        for name, value in zip(named, key, strict=True):
            if value:
                named[name][value] += count
    return {name: dict(sorted(counter.items())) for name, counter in named.items() if counter}


def _descending(counter: Counter) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:NAMED])


def _spread(lengths: array) -> dict[str, int]:
    if not lengths:
        return {}
    values = np.quantile(np.asarray(lengths), _QUANTILES)
    return {f"{share:.0%}": round(float(v)) for share, v in zip(_QUANTILES, values, strict=True)}


def markdown(sheet: dict[str, Any]) -> str:
    """The datasheet as a page of Markdown, to lie beside the files."""
    lines = [f"# Snapshot {sheet['digest'][:12]}", ""]
    for title, content in sheet.items():
        lines += [f"## {title.replace('_', ' ').capitalize()}", ""]
        if isinstance(content, dict):
            lines += [f"- {line}" for line in _flat(content)] or ["- none"]
        elif isinstance(content, list):
            lines += [f"- {item}" for item in content] or ["- none"]
        else:
            lines.append(str(content if content is not None else "none"))
        lines.append("")
    return "\n".join(lines)


def _flat(content: dict[str, Any], before: str = "") -> list[str]:
    lines = []
    for key, value in content.items():
        name = f"{before}{str(key).replace('_', ' ')}"
        if isinstance(value, dict):
            lines += _flat(value, f"{name}: ")
        else:
            lines.append(f"{name}: {'none' if value is None else value}")
    return lines
