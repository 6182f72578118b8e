"""`quality`: how long a quality report takes, by judgments, and how long its page."""

import json
import random
import time

from tests.bench.instance import serving

PEOPLE, OVERLAP = 30, 3


def run(arguments) -> list[dict]:
    """One run a size: a project of pairs with attribute ratings, and one of lists and spans."""
    results = []
    with serving():
        for size in (5_000, 50_000):
            for kinds in (["pairwise", "rating"], ["listwise", "span"]):
                results.append(_report(size, kinds))
                print(json.dumps(results[-1]), flush=True)
    return results


def _report(size: int, kinds: list[str]) -> dict:
    from annotation.services import quality

    project = _filled(size, kinds)
    began = time.perf_counter()
    found = quality.measure(project)
    took = time.perf_counter() - began
    began = time.perf_counter()
    now = quality.current(project)
    return {
        "kinds": kinds,
        "judgments": found["judgments"],
        "people": len(found["people"]),
        "measures": sum(len(a["measures"]) for k in found["kinds"] for a in k["aspects"]),
        "seconds": round(took, 2),
        "read_ms": round(1000 * (time.perf_counter() - began), 1),
        "fresh": now.is_fresh,
    }


def _filled(size: int, kinds: list[str]):
    from annotation.models import Judgment, PairwiseJudgment, RankingPlace, Rating, SpanMark
    from annotation.services import projects
    from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
    from config.models import User

    rng = random.Random(size)
    first, second = kinds
    slug = f"{first}-{size}"
    project = projects.create_project(slug=slug, kinds=kinds, overlap=OVERLAP)
    people = [
        User.objects.get_or_create(username=f"q{n}", defaults={"role": "annotator"})[0]
        for n in range(PEOPLE)
    ]
    answers = 2 if first == "pairwise" else 4
    create_tasks(
        project=project,
        tasks=(
            TaskIn(
                kind=first,
                also=[second],
                prompt=f"Question {n}?",
                candidates=[
                    CandidateIn(f"{c} " + "word " * rng.randint(20, 60)) for c in "abcd"[:answers]
                ],
            )
            for n in range(size // OVERLAP)
        ),
    )  # fmt: skip
    judged, typed = [], {PairwiseJudgment: [], Rating: [], RankingPlace: [], SpanMark: []}
    for task in project.tasks.prefetch_related("candidates"):
        candidates = [c.pk for c in task.candidates.all()]
        best = rng.choice(candidates)
        for who in rng.sample(people, OVERLAP):
            shown = rng.sample(candidates, len(candidates))
            row = Judgment(project=project, task=task, annotator=who, kind=first, shown=shown,
                           seconds=rng.lognormvariate(3, 0.5))  # fmt: skip
            judged.append(row)
            said = best if rng.random() < 0.7 else rng.choice(candidates)
            if first == "pairwise":
                typed[PairwiseJudgment].append(
                    PairwiseJudgment(judgment=row, outcome="preferred", preferred_id=said,
                                     strength=rng.randint(1, 3)))  # fmt: skip
                typed[Rating] += [
                    Rating(judgment=row, candidate_id=c, attribute=name, value=rng.randint(0, 4))
                    for c in candidates
                    for name in project.attributes
                ]
            else:
                order = sorted(candidates, key=lambda c: (c != said, rng.random()))
                typed[RankingPlace] += [
                    RankingPlace(judgment=row, candidate_id=c, place=place)
                    for place, c in enumerate(order, 1)
                ]
                start = rng.randint(0, 80)
                typed[SpanMark].append(
                    SpanMark(judgment=row, candidate_id=said, start=start, end=start + 12,
                             category=project.categories[0]))  # fmt: skip
    Judgment.objects.bulk_create(judged, batch_size=5000)
    for model, rows in typed.items():
        model.objects.bulk_create(rows, batch_size=5000)
    project.tasks.update(taken=OVERLAP, done=OVERLAP, state="done")
    return project
