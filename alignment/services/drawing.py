"""Write the files of a snapshot: one pass over the database, one over what it wrote.

The first pass streams every kind to a file of its own and gathers what reliability is fitted on;
the second gives the rows their weights and makes the pairs.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from django.utils.dateparse import parse_datetime

from alignment.services import implied, parquet
from alignment.services.datasheet import Gathering
from alignment.services.records import (
    KINDS,
    OF_CHATS,
    PARTS_OF,
    SCHEMAS,
    followup_row,
    moment,
    place_of,
    reaction_row,
    rows_of,
)
from alignment.services.shares import Pairs, Words, weighted
from annotation import selectors as annotation
from annotation.models import Project
from feedback import selectors as feedback
from feedback.services import implicit

#: Written even when empty, so that a reader finds them.
ALWAYS = ("preference", "reaction")
_OUTCOMES = ("side 0", "side 1", "tie", "both_bad")
_VERDICTS = ("yes", "no", "na")


@dataclass
class Drawn:
    """What came of it: figures for the manifest and the datasheet."""

    gathering: Gathering
    pairs: int = 0
    methods: dict[str, str] = field(default_factory=dict)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    agreement: dict[str, Any] = field(default_factory=dict)
    discounts: dict[str, float] = field(default_factory=dict)

    def counts(self) -> dict[str, Any]:
        """Records of each kind, and how many pairs."""
        counts = self.gathering.counts()
        if "preference" in counts:
            counts["preference"]["pairs"] = self.pairs
        return counts


def draw(
    folder: Path,
    query: dict[str, Any],
    *,
    position: int,
    event: int | None = None,
    discounts: Mapping[str, float] | None = None,
) -> Drawn:
    """Write every file that `query` asks for into `folder`, as of the logs' positions.

    `discounts`, what votes and reactions counted when a snapshot was taken, are read from the
    database where they are not given.
    """
    slugs = Project.objects.filter(slug__in=query["projects"])
    ids = list(slugs.order_by("pk").values_list("pk", flat=True))
    work = _Work(folder, query, ids, position, event)
    if discounts is None:
        live = feedback.vote_weights(project_ids=ids)
        work.discounts = {str(pk): float(weight) for pk, weight in live.items()}
    else:
        work.discounts, work.kept = dict(discounts), discounts
    kinds = [kind for kind in KINDS if kind in query["kinds"]]
    work.chats([kind for kind in kinds if kind in OF_CHATS])
    work.judgments([kind for kind in kinds if kind in PARTS_OF])
    if "preference" in kinds and "implicit" in query:
        work.implicit()
    return work.drawn


class _Work:
    """One drawing under way."""

    def __init__(self, folder: Path, query: dict[str, Any], ids: list[int], position, event):
        self.folder, self.query, self.ids = folder, query, ids
        self.position, self.event = position, event
        self.since, self.until = (_moment(query[name]) for name in ("since", "until"))
        self.share = query["eval_share"]
        self.discounts: dict[str, float] = {}
        self.kept: Mapping[str, float] | None = None
        self.drawn = Drawn(Gathering())

    # Judgments ------------------------------------------------------------------------------

    def judgments(self, kinds: list[str]) -> None:
        """All kinds that people judge, in one pass over the tasks."""
        if not kinds:
            return
        words = {
            "preference": Words(_OUTCOMES),
            "rating": Words((0, 1, 2, 3, 4)),
            "principle_verdict": Words(_VERDICTS),
        }
        pairs = Pairs()
        add_pair = pairs.add
        counted = self.drawn.gathering
        for kind in ALWAYS:
            if kind in kinds:
                counted.by_kind.setdefault(kind, type(counted.people)())
        units: dict[tuple, int] = {}
        made_of: dict[str, list[str]] = {}
        for kind in kinds:
            for part in PARTS_OF[kind]:
                made_of.setdefault(part, []).append(kind)
        with ExitStack() as stack:
            sinks = {
                kind: stack.enter_context(parquet.Sink(self.folder / f"{kind}.raw", SCHEMAS[kind]))
                for kind in kinds
            }
            for task in self._tasks(kinds):
                place = place_of(task.prompt, task.prompt_hash, self.share)
                counted.prompt(task.prompt_hash, task.prompt)
                for _, text, model in task.candidates:
                    counted.answer(text, model)
                for said in task.said:
                    for kind in _kinds_in(said, made_of):
                        for row in rows_of(task, said, kind, place):
                            sinks[kind].add(row)
                            outcome = _outcome(kind, row)
                            counted.record(kind, place.split, row[3], outcome, row[2], row[8])
                            if kind == "preference":
                                add_pair(row)
                    if said.source != "review":
                        _hear(words, units, task, said)
        self._finish(kinds, words, pairs)

    def _tasks(self, kinds: list[str]) -> Iterator[annotation.JudgedTask]:
        parts = {part for kind in kinds for part in PARTS_OF[kind]}
        only, without = set(self.query["people"]), set(self.query["without"])
        sources, flagged = set(self.query["sources"]), self.query["flagged"]
        withheld = {str(pk) for pk in feedback.withheld_judgments(project_ids=self.ids)}
        since = moment(self.since) if self.since else ""
        left = self.drawn.gathering.left_out

        def why_not(said) -> str:
            if said.judgment_id in withheld:
                return "consent withheld"
            if (only and said.annotator not in only) or said.annotator in without:
                return "other people"
            if said.created_at < since:
                return "said before"
            if said.flags and not flagged:
                return "flagged"
            name = {"vote": "vote", "review": "review"}.get(said.source, "human")
            return "" if name in sources else "other sources"

        for task in annotation.judged_tasks(
            project_ids=self.ids, parts=parts, until=self.until, position=self.position
        ):
            kept = []
            for said in task.said:
                if reason := why_not(said):
                    left[reason] += 1
                else:
                    kept.append(said)
            if kept:
                task.said = kept
                yield task

    def _finish(self, kinds: list[str], words: dict[str, Words], pairs: Pairs) -> None:
        drawn, least = self.drawn, self.query["min_weight"]
        if "implicit" not in self.query:
            drawn.gathering.close()
        for kind, heard in words.items():
            if kind in kinds and self.query["weights"] == "fitted":
                drawn.weights[kind], drawn.methods[kind] = heard.weights()
            if kind in kinds:
                drawn.agreement[kind] = _agreement(heard)
        general = drawn.weights.get("preference", {})
        for kind in kinds:
            raw, path = self.folder / f"{kind}.raw", self.folder / f"{kind}.parquet"
            if not parquet.count(raw) and kind not in ALWAYS:
                raw.unlink()
                continue
            weights = drawn.weights.get(kind, general)
            of_rows = []
            with parquet.Sink(path, SCHEMAS[kind]) as sink:
                for batch in weighted(raw, weights, self.discounts):
                    worth = batch["weight"].to_numpy()
                    trusted = np.array(
                        [weights.get(name, 1.0) >= least for name in batch["annotator"].to_pylist()]
                        if least
                        else True
                    )
                    if kind == "preference":
                        of_rows.append(np.where(trusted, worth, 0.0))
                    sink.write(batch.filter(pa.array(trusted)) if least else batch)
            if kind == "preference":
                votes = np.concatenate(of_rows) if of_rows else np.zeros(0)
                drawn.pairs = pairs.write(self.folder / "pairs.parquet", raw, votes)
            raw.unlink()
        drawn.discounts = {k: v for k, v in self.discounts.items() if "preference" in kinds}

    # Conversations --------------------------------------------------------------------------

    def chats(self, kinds: list[str]) -> None:
        """Reactions as they stand, and what people wrote next."""
        counted = self.drawn.gathering
        rows = {"reaction": self._reactions, "followup": self._followups}
        for kind in kinds:
            if kind in ALWAYS:
                counted.by_kind.setdefault(kind, type(counted.people)())
            path = self.folder / f"{kind}.parquet"
            with parquet.Sink(path, SCHEMAS[kind]) as sink:
                for record, row in rows[kind]():
                    if self._unwanted(record.person, record.created_at):
                        continue
                    sink.add(row)
                    counted.prompt(record.prompt_hash, record.prompt)
                    counted.answer(record.answer, record.model_version or "")
                    outcome = "" if kind == "followup" else _mood(record)
                    at = row[-1]
                    split = row[SCHEMAS[kind].names.index("split")]
                    counted.record(kind, split, kind, outcome, record.person, at)
            if not sink.count and kind not in ALWAYS:
                path.unlink()

    def _unwanted(self, person: str, at: datetime) -> bool:
        only = self.query["people"]
        other = (only and person not in only) or person in self.query["without"]
        return bool(other or (self.since and at < self.since))

    def _reactions(self) -> Iterator[tuple]:
        found = feedback.reactions(project_ids=self.ids, until=self.until, position=self.event)
        for record in found:
            weight = float(record.weight)
            if self.kept is not None:
                weight = self.kept.get(f"event {record.event_id}", weight)
            yield record, reaction_row(record, self.share, weight)

    def implicit(self) -> None:
        """Pairs from what people did, after those from what they said."""

        def wanted() -> Iterator[implicit.ImplicitRecord]:
            found = implicit.preferences(
                project_ids=self.ids, until=self.until, position=self.event
            )
            for record in found:
                if not self._unwanted(record.person, record.created_at):
                    weight = (self.kept or {}).get(implied.name_of(record), record.weight)
                    yield replace(record, weight=weight)

        self.drawn.pairs += implied.append(
            self.folder, wanted(), weight=self.query["implicit"], eval_share=self.share,
            counted=self.drawn.gathering,
        )  # fmt: skip

    def _followups(self) -> Iterator[tuple]:
        for record in feedback.followups(project_ids=self.ids, until=self.until):
            yield record, followup_row(record, self.share)


def _kinds_in(said, made_of: dict[str, list[str]]) -> list[str]:
    """The kinds of a judgment's typed rows, each once."""
    if len(said.parts) == 1:
        return made_of.get(next(iter(said.parts)), [])
    return list(dict.fromkeys(kind for part in said.parts for kind in made_of.get(part, ())))


def _hear(words: dict[str, Words], units: dict[tuple, int], task, said) -> None:
    """What a judgment says of units that others judge too."""
    for outcome, preferred, _ in said.parts.get("pairwise", ()):
        value = {"tie": 2, "both_bad": 3}.get(outcome)
        if value is None:
            value = 0 if preferred == task.candidates[0][0] else 1
        words["preference"].add(task.task_id, said.annotator, value)
    for candidate, attribute, value in said.parts.get("rating", ()):
        unit = units.setdefault((candidate, attribute), len(units))
        words["rating"].add(unit, said.annotator, value)
    for candidate, principle, _, _, verdict, *_ in said.parts.get("verdict", ()):
        unit = units.setdefault((candidate, "principle", principle), len(units))
        words["principle_verdict"].add(unit, said.annotator, _VERDICTS.index(verdict))


def _agreement(heard: Words) -> dict[str, Any]:
    from annotation.quality.agreement import alpha

    labels = heard.labels()
    if not len(labels):
        return {}
    found = alpha(labels)
    if found.value is None:
        return {"units_judged_twice": found.units}
    interval = [None if bound is None else round(bound, 4) for bound in (found.low, found.high)]
    return {
        "krippendorff_alpha": round(found.value, 4),
        "interval": interval,
        "units_judged_twice": found.units,
    }


_PLACES = {
    kind: SCHEMAS[kind].names.index(name)
    for kind, name in (
        ("preference", "outcome"),
        ("dimension", "outcome"),
        ("rating", "attribute"),
        ("principle_verdict", "verdict"),
        ("span_reward", "category"),
    )
}


def _outcome(kind: str, row: tuple) -> str:
    return str(row[_PLACES[kind]]) if kind in _PLACES else ""


def _mood(record) -> str:
    return "positive" if record.positive else "negative"


def _moment(value: str | None) -> datetime | None:
    return parse_datetime(value) if value else None
