"""Published crowd sets that carry annotators, as (unit, person, value); and one made up."""

from collections import defaultdict

import numpy as np

from tests.published import DATA, records

WMT = "wmt23_sxs_mqm_ende/sxs_mqm_generalMT2023_ende.3ratingsPerSegment.jsonl.gz"
#: Points of an error by severity (Freitag et al. 2021).
POINTS = {"Minor": 1, "Major": 5}


def made_up():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 300)
    for n, value in enumerate(truth):
        for who in rng.permutation(12)[: rng.integers(1, 6)]:
            right = rng.random() < 0.45 + 0.04 * who
            yield n, f"p{who}", str(value if right else rng.integers(0, 3))


def pandalm():
    for n, row in enumerate(records("pandalm_testset/testset-v1.jsonl.gz")):
        for who in ("annotator1", "annotator2", "annotator3"):
            yield n, who, str(row[who])


def ukp():
    for row in records("ukp_convarg_crowd/UKPConvArg1-full.jsonl.gz"):
        for said in row["mTurkAssignments"]:
            yield row["id"], said["turkID"], said["value"]


def barzan():
    for row in records("gal_crowd_gold/BarzanMozafari.labels.jsonl.gz"):
        yield row["object"], row["worker"], row["label"]


def adult():
    for row in records("gal_crowd_gold/AdultContent2.labels.jsonl.gz"):
        yield row["object"], row["worker"], row["label"]


def gold(name: str) -> dict:
    """Known answers of a set of gal_crowd_gold, by unit."""
    return {row["object"]: row["gold"] for row in records(f"gal_crowd_gold/{name}.gold.jsonl.gz")}


def dices():
    for row in records("dices_safety/instances.jsonl.gz"):
        if row["file"] == "dices_350_crowdsourced.json":
            scores = row["annotations"]["safety"]["individual_human_scores"]
            yield from ((row["id"], who, said) for who, said in enumerate(scores))


def wmt_worst():
    """The gravest error that a rater found in a translation."""
    worst: dict = defaultdict(int)
    for row in records(WMT):
        found = {"Minor": 1, "Major": 2}.get(row["severity"], 0)
        key = ((row["doc"], row["docSegId"], row["system"]), row["rater"])
        worst[key] = max(worst[key], found)
    return ((unit, who, value) for (unit, who), value in worst.items())


def wmt_rankings() -> dict:
    """`{segment: {rater: places}}` of the ten systems by their error points, fewest first."""
    points: dict = defaultdict(float)
    systems, segments = set(), defaultdict(set)
    for row in records(WMT):
        segment = (row["doc"], row["docSegId"])
        points[segment, row["rater"], row["system"]] += POINTS.get(row["severity"], 0)
        systems.add(row["system"])
        segments[segment].add(row["rater"])
    order = sorted(systems)
    return {
        segment: {who: [points[segment, who, name] for name in order] for who in sorted(raters)}
        for segment, raters in segments.items()
    }


def wmt_marks() -> tuple[dict, dict]:
    """`{text: {rater: marks}}` and the length of each text: the stretch between <v> and </v>."""
    marks: dict = defaultdict(dict)
    lengths: dict = {}
    for row in records(WMT):
        key = (row["doc"], row["docSegId"], row["system"])
        start, text = row["target"].find("<v>"), row["target"].replace("<v>", "")
        end = text.find("</v>")
        lengths[key] = len(text.replace("</v>", ""))
        own = marks[key].setdefault(row["rater"], [])
        if 0 <= start < end:
            own.append((start, end, row["category"].split("/")[0]))
    return dict(marks), lengths


SETS = {
    "made_up": (made_up, None),
    "pandalm_testset": (pandalm, "pandalm_testset"),
    "ukp_convarg_crowd": (ukp, "ukp_convarg_crowd"),
    "gal_crowd_gold": (barzan, "gal_crowd_gold"),
    "dices_safety": (dices, "dices_safety"),
    "wmt23_sxs_mqm_ende": (wmt_worst, "wmt23_sxs_mqm_ende"),
}
PRESENT = [name for name, (_, folder) in SETS.items() if folder is None or (DATA / folder).exists()]
