"""Judgment bodies of every kind: what is taken, and the field and reason of what is not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.bodies import Question, read
from config.errors import Invalid

TEXTS = {7: "A naïve answer 👩‍👩‍👧 here.", 8: "مرحبا"}


def ask(kind: str, *candidates: int, **more) -> Question:
    return Question(kind=kind, candidates=candidates or (7, 8), text=TEXTS.__getitem__, **more)


ASKED = {
    "pairwise": ask("pairwise", dimensions=("style",)),
    "listwise": ask("listwise", 7, 8, 9),
    "span": ask("span", categories=("wrong fact",), missing_categories=("point",)),
    "principle": ask("principle", principles={"true": 3, "3": 3}),
    "rating": ask("rating", attributes=("helpfulness",)),
    "critique": ask("critique"),
    "safety": ask("safety"),
    "step": ask("step", steps={None: 3, 7: 2, 8: 0}.__getitem__),
    "triplet": ask("triplet", 7, 8, 9, anchor=lambda: 7),
}
SPAN = {"candidate": 7, "start": 0, "end": 1, "category": "wrong fact"}
VERDICT = {"candidate": 7, "principle": "true", "verdict": "yes"}
RATING = {"candidate": 7, "attribute": "helpfulness", "value": 4}
SAFER = {
    "helpful": {"outcome": "preferred", "preferred": 7},
    "safer": {"outcome": "tie"},
    "harm": [{"candidate": 7, "level": 3}, {"candidate": 8, "level": 0}],
}
STEP = {"candidate": 7, "step": 1, "value": -1}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("pairwise", {"outcome": "preferred", "preferred": 7}),
        ("pairwise", {"outcome": "preferred", "preferred": 8, "strength": 3, "flags": ["x"]}),
        ("pairwise", {"outcome": "tie", "preferred": None, "strength": None}),
        ("pairwise", {"outcome": "both_bad", "seconds": 12.3, "rationale": "no"}),
        (
            "pairwise",
            {"outcome": "tie", "dimensions": [{"dimension": "style", "outcome": "tie"}]},
        ),
        ("listwise", {"ranking": [[8], [7, 9]]}),
        ("listwise", {"ranking": [[8]], "unusable": [7, 9]}),
        ("span", {"spans": [SPAN | {"severity": 3, "comment": "c"}], "missing": []}),
        ("span", {"spans": []}),
        ("span", {"spans": [SPAN, SPAN], "missing": [{"candidate": 8, "category": "point"}]}),
        ("principle", {"verdicts": [VERDICT | {"evidence": {"start": 0, "end": 2}}]}),
        ("principle", {"verdicts": [VERDICT | {"principle": 3, "verdict": "na"}]}),
        ("rating", {"ratings": [RATING, RATING | {"candidate": 8, "value": 0}]}),
        ("critique", {"candidate": 7, "critique": "too long"}),
        ("critique", {"candidate": 8, "corrected": "shorter"}),
        ("safety", SAFER),
        ("step", {"steps": [STEP, STEP | {"step": 0, "value": 1, "comment": "well"}]}),
        ("step", {"steps": [STEP, {"candidate": None, "step": 1, "value": 0}]}),
        ("triplet", {"anchor": 7, "closer": 9}),
        ("triplet", {"anchor": 7, "closer": None}),
    ],
)
def test_a_good_body_is_taken(kind, body):
    assert read(ASKED[kind], body).kind == kind


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("pairwise", {}, "outcome"),
        ("pairwise", {"outcome": "better"}, "outcome"),
        ("pairwise", {"outcome": "preferred"}, "preferred"),
        ("pairwise", {"outcome": "preferred", "preferred": 9}, "preferred"),
        ("pairwise", {"outcome": "preferred", "preferred": True}, "preferred"),
        ("pairwise", {"outcome": "tie", "preferred": 7}, "preferred"),
        ("pairwise", {"outcome": "preferred", "preferred": 7, "strength": 4}, "strength"),
        ("pairwise", {"outcome": "preferred", "preferred": 7, "strength": 1.5}, "strength"),
        ("pairwise", {"outcome": "tie", "strength": 1}, "strength"),
        ("pairwise", {"outcome": "tie", "rationale": 3}, "rationale"),
        ("pairwise", {"outcome": "tie", "rationale": "x" * 100_001}, "rationale"),
        ("pairwise", {"outcome": "tie", "flags": "odd"}, "flags"),
        ("pairwise", {"outcome": "tie", "flags": [""]}, "flags[0]"),
        ("pairwise", {"outcome": "tie", "seconds": float("inf")}, "seconds"),
        ("pairwise", {"outcome": "tie", "kind": "rating"}, "kind"),
        (
            "pairwise",
            {"outcome": "tie", "dimensions": [{"dimension": "tone", "outcome": "tie"}]},
            "dimensions[0].dimension",
        ),
        ("listwise", {}, "ranking"),
        ("listwise", {"ranking": [[7], [8]]}, "ranking"),
        ("listwise", {"ranking": [[7], [8], [9, 7]]}, "ranking[2][1]"),
        ("listwise", {"ranking": [[7], [8], [9]], "unusable": [9]}, "unusable[0]"),
        ("listwise", {"ranking": [7, 8, 9]}, "ranking[0]"),
        ("listwise", {"ranking": [[7], [8], [10]]}, "ranking[2][0]"),
        ("listwise", {"ranking": [[7, 8, 9], []]}, "ranking[1]"),
        ("span", {}, "spans"),
        ("span", {"spans": [SPAN | {"end": 99}]}, "spans[0].end"),
        ("span", {"spans": [SPAN | {"start": -1}]}, "spans[0].start"),
        ("span", {"spans": [SPAN | {"end": 0}]}, "spans[0].end"),
        ("span", {"spans": [SPAN | {"category": "style"}]}, "spans[0].category"),
        ("span", {"spans": [SPAN | {"severity": 4}]}, "spans[0].severity"),
        ("span", {"spans": [SPAN | {"quote": "B"}]}, "spans[0].quote"),
        ("span", {"spans": [SPAN | {"text": "A"}]}, "spans[0].text"),
        ("span", {"spans": [], "missing": [{"candidate": 7}]}, "missing[0].category"),
        ("principle", {"verdicts": []}, "verdicts"),
        ("principle", {"verdicts": [VERDICT | {"principle": "kind"}]}, "verdicts[0].principle"),
        ("principle", {"verdicts": [VERDICT | {"verdict": "maybe"}]}, "verdicts[0].verdict"),
        ("principle", {"verdicts": [VERDICT, VERDICT]}, "verdicts[1]"),
        (
            "principle",
            {"verdicts": [VERDICT | {"evidence": {"start": 3, "end": 99}}]},
            "verdicts[0].evidence.end",
        ),
        ("rating", {"ratings": [RATING | {"value": 5}]}, "ratings[0].value"),
        ("rating", {"ratings": [RATING | {"value": "4"}]}, "ratings[0].value"),
        ("rating", {"ratings": [RATING | {"attribute": "wit"}]}, "ratings[0].attribute"),
        ("rating", {"ratings": [RATING, RATING]}, "ratings[1]"),
        ("rating", {"ratings": []}, "ratings"),
        ("critique", {"critique": "which one?"}, "candidate"),
        ("critique", {"candidate": 7, "critique": "  "}, "critique"),
        ("safety", {}, "helpful"),
        ("safety", SAFER | {"safer": {"outcome": "safe"}}, "safer.outcome"),
        ("safety", SAFER | {"safer": {"outcome": "tie", "preferred": 7}}, "safer.preferred"),
        ("safety", SAFER | {"safer": {"outcome": "tie", "why": ""}}, "safer.why"),
        ("safety", SAFER | {"harm": SAFER["harm"][:1]}, "harm"),
        ("safety", SAFER | {"harm": SAFER["harm"][:1] * 2}, "harm[1]"),
        ("safety", SAFER | {"harm": [{"candidate": 7, "level": 4}]}, "harm[0].level"),
        ("step", {"steps": []}, "steps"),
        ("step", {"steps": [STEP, STEP]}, "steps[1]"),
        ("step", {"steps": [STEP | {"step": 2}]}, "steps[0].step"),
        ("step", {"steps": [STEP | {"candidate": 8, "step": 0}]}, "steps[0]"),
        ("step", {"steps": [STEP | {"candidate": None, "step": 3}]}, "steps[0].step"),
        ("step", {"steps": [STEP | {"value": 2}]}, "steps[0].value"),
        ("step", {"steps": [STEP | {"candidate": 9}]}, "steps[0].candidate"),
        ("triplet", {"closer": 8}, "anchor"),
        ("triplet", {"anchor": 8, "closer": 7}, "anchor"),
        ("triplet", {"anchor": 7, "closer": 7}, "closer"),
        ("triplet", {"anchor": 7}, "closer"),
    ],
)
def test_a_bad_body_is_refused_by_field(kind, body, field):
    with pytest.raises(Invalid) as refused:
        read(ASKED[kind], body)
    assert list(refused.value.fields) == [field]


def test_offsets_are_code_points_and_the_quote_is_kept():
    start = TEXTS[7].index("👩")
    body = {"spans": [SPAN | {"start": start, "end": start + 5, "quote": "👩‍👩‍👧"}]}
    assert read(ASKED["span"], body).answer["spans"][0]["quote"] == "👩‍👩‍👧"


COMBINED = ask("pairwise", also=("rating", "safety"), dimensions=())


def test_a_body_answers_every_kind_that_the_task_asks():
    also = {"rating": {"ratings": [RATING]}, "safety": SAFER}
    taken = read(COMBINED, {"outcome": "tie", "also": also})
    assert taken.answer["outcome"] == "tie"
    assert taken.also["rating"] == {"ratings": [RATING]}
    assert taken.also["safety"]["safer"] == {"outcome": "tie", "preferred": None}


@pytest.mark.parametrize(
    ("also", "field"),
    [
        (None, "also.rating"),
        ([], "also"),
        ({"rating": {"ratings": [RATING]}}, "also.safety"),
        ({"rating": {"ratings": []}, "safety": SAFER}, "also.rating.ratings"),
        ({"rating": {"ratings": [RATING]}, "safety": SAFER, "step": {}}, "also.step"),
        ({"rating": {"ratings": [RATING], "flags": []}, "safety": SAFER}, "also.rating.flags"),
    ],
)
def test_a_further_kind_is_refused_by_field(also, field):
    with pytest.raises(Invalid) as refused:
        read(COMBINED, {"outcome": "tie", "also": also})
    assert list(refused.value.fields) == [field]


def test_the_choices_of_safety_are_not_dimensions_of_the_pair_too():
    body = {"outcome": "tie", "dimensions": [{"dimension": "safer", "outcome": "tie"}]}
    with pytest.raises(Invalid, match="question of its own"):
        read(COMBINED, body | {"also": {"rating": {"ratings": [RATING]}, "safety": SAFER}})


_names = st.sampled_from(
    ["outcome", "preferred", "strength", "ranking", "unusable", "spans", "missing", "candidate",
     "start", "end", "category", "verdicts", "principle", "verdict", "evidence", "ratings",
     "attribute", "value", "critique", "corrected", "flags", "seconds", "rationale", "dimensions",
     "helpful", "safer", "harm", "level", "steps", "step", "anchor", "closer", "also"]
)  # fmt: skip
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(7),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


# A busy machine is slow, not wrong.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(ASKED)), body=_json)
def test_whatever_a_client_sends_is_taken_or_refused_by_name(kind, body):
    try:
        taken = read(ASKED[kind], body)
    except Invalid as exc:
        refused = exc
        taken = None
    assert taken is not None or refused.fields
