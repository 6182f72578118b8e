"""OpenAssistant message trees: rankings of the answers to one prompt, by one person each."""

from collections.abc import Iterator
from itertools import combinations

from annotation.formats.items import CandidateIn, JudgmentIn, PromptIn, Refused, TaskIn, rest
from annotation.formats.pairs import judged_pair, named, named_id

_ROLES = {"prompter": "user", "assistant": "assistant"}
_PROSE = ("message_id", "parent_id", "text", "role", "rank", "replies", "model_name", "events")
MOST = 20
DEEPEST = 200


def openassistant(record: dict, kind: str = "") -> Iterator[TaskIn | PromptIn]:
    """A tree: a ranking task wherever a prompt has several answers, pairs on request.

    The rankings of single people (`events`) are taken where the file has them, else the consensus
    (`rank`, 0 best). Deleted messages are left out with what hangs below them. A tree without two
    answers to anything gives its first prompt. Rankings of prompts are not answers and not read.
    """
    root = record.get("prompt")
    if not isinstance(root, dict):
        if "ranked_message_ids" in record:
            raise Refused("a ranking without its messages; give the file of whole trees")
        if "message_id" in record:
            raise Refused("a single message; give the file of whole trees")
        raise Refused("prompt must be the first message of a tree")
    about = {"tree": record.get("message_tree_id"), **rest(record, "prompt", "message_tree_id")}
    rankings = _rankings(root)
    found = False
    for path, replies in _forks(root):
        for task in _tasks(path, replies, rankings.get(path[-1]["message_id"], []), about, kind):
            found = True
            yield task
    if not found:
        yield PromptIn(
            prompt=_chat([root]),
            external_id=named_id(root, "message_id"),
            metadata={**about, "lang": root.get("lang")},
        )


def _node(value: object) -> dict:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise Refused("a message has no text")
    if value.get("role") not in _ROLES or not isinstance(value.get("message_id"), str):
        raise Refused("a message needs message_id and a role of prompter or assistant")
    return value


def _replies(node: dict) -> list[dict]:
    replies = node.get("replies") or []
    if not isinstance(replies, list):
        raise Refused("replies must be a list of messages")
    return [_node(r) for r in replies if not (isinstance(r, dict) and r.get("deleted"))]


def _forks(root: dict) -> Iterator[tuple[list[dict], list[dict]]]:
    """Each path that ends in a prompt with the live answers to it, where there are several."""
    waiting = [[_node(root)]]
    while waiting:
        path = waiting.pop()
        if len(path) > DEEPEST:
            raise Refused(f"the tree is deeper than {DEEPEST} messages")
        replies = _replies(path[-1])
        if path[-1]["role"] == "prompter":
            answers = [r for r in replies if r["role"] == "assistant"]
            if len(answers) > 1:
                yield path, answers
        waiting += [[*path, reply] for reply in reversed(replies)]


def _rankings(root: dict) -> dict[str, list[dict]]:
    """Rankings by single people, by the prompt they are about, wherever in the tree they hang."""
    found: dict[str, list[dict]] = {}
    waiting = [_node(root)]
    while waiting:
        node = waiting.pop()
        events = node.get("events")
        said = events.get("ranking") if isinstance(events, dict) else None
        for event in said if isinstance(said, list) else []:
            ids = event.get("ranked_message_ids") if isinstance(event, dict) else None
            if isinstance(ids, list) and all(isinstance(i, str) for i in ids):
                parent = event.get("ranking_parent_id") or node["message_id"]
                earlier = found.setdefault(str(parent), [])
                if event not in earlier:
                    earlier.append(event)
        waiting += _replies(node)
    return found


def _tasks(
    path: list[dict], replies: list[dict], events: list[dict], about: dict, kind: str
) -> Iterator[TaskIn]:
    by_id = {reply["message_id"]: reply for reply in replies}
    said: dict[frozenset, list[tuple[list[list[str]], list[str], dict]]] = {}
    for event in events:
        ids = [i for i in event["ranked_message_ids"] if i in by_id]
        if len(ids) > 1 and len(set(ids)) == len(ids):
            bad = event.get("not_rankable") is True
            order = ([], ids) if bad else ([[i] for i in ids], [])
            who = {"annotator": named(event, "user_id")}
            said.setdefault(frozenset(ids), []).append((*order, who))
    if not said:
        ranked = [r for r in replies if isinstance(r.get("rank"), int)]
        if len(ranked) > 1:
            places = sorted({r["rank"] for r in ranked})
            order = [[r["message_id"] for r in ranked if r["rank"] == p] for p in places]
            said[frozenset(r["message_id"] for r in ranked)] = [(order, [], {})]
        else:
            said[frozenset(by_id)] = []
    for n, (ids, judged) in enumerate(said.items()):
        shown = [r for r in replies if r["message_id"] in ids][:MOST]
        name = path[-1]["message_id"] + (f":{n}" if n else "")
        made = _pairs if kind == "pairwise" else _ranking
        yield from made(path, shown, judged, name, about)


def _ranking(path, shown, judged, name, about) -> Iterator[TaskIn]:
    place = {r["message_id"]: n for n, r in enumerate(shown)}
    judgments = [
        JudgmentIn(
            body={
                "ranking": [
                    g for g in ([place[i] for i in ids if i in place] for ids in order) if g
                ],
                "unusable": [place[i] for i in bad if i in place],
            },
            **who,
        )
        for order, bad, who in _once_a_person(judged)
    ]
    yield TaskIn(
        kind="listwise",
        prompt=_chat(path),
        candidates=[_candidate(r) for r in shown],
        judgments=judgments,
        external_id=name,
        metadata={**about, "messages": [rest(r, *_PROSE) for r in shown]},
    )


def _pairs(path, shown, judged, name, about) -> Iterator[TaskIn]:
    """Every two answers, with what the rankings say of them."""
    for first, second in combinations(shown, 2):
        judgments = []
        for order, bad, who in _once_a_person(judged):
            places = {i: n for n, group in enumerate(order) for i in group}
            a, b = places.get(first["message_id"]), places.get(second["message_id"])
            if a is None or b is None:
                body: dict = {"outcome": "both_bad"} if bad else {"outcome": "tie"}
            elif a == b:
                body = {"outcome": "tie"}
            else:
                body = {"outcome": "preferred", "preferred": int(b < a)}
            judgments.append(JudgmentIn(body=body, **who))
        yield judged_pair(
            _chat(path),
            _candidate(first),
            _candidate(second),
            judgments,
            external_id=f"{name}:{first['message_id'][:36]}:{second['message_id'][:36]}",
            metadata={**about, "messages": [rest(r, *_PROSE) for r in (first, second)]},
        )


def _once_a_person(judged: list) -> list:
    """The last ranking of each person; those without a name are counted one by one."""
    last = {who.get("annotator") or n: (order, bad, who) for n, (order, bad, who) in
            enumerate(judged)}  # fmt: skip
    nameless = 0
    for key, (order, bad, _who) in last.items():
        if isinstance(key, int) and len(last) > 1:
            nameless += 1
            last[key] = (order, bad, {"annotator": f"annotator{nameless}"})
    return list(last.values())


def _candidate(node: dict) -> CandidateIn:
    return CandidateIn(node["text"], model=named(node, "model_name"))


def _chat(path: list[dict]) -> list[dict]:
    return [{"role": _ROLES[n["role"]], "content": n["text"]} for n in path]
