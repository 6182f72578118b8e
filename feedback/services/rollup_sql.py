# ruff: noqa: S608 (only names from this file are put into the text)
"""The statement that brings the counts in step with what stands about some answers.

One statement, so that the events it reads and the tallies it compares with are of one snapshot.
Answers are given as an array: the planner knows how many they are, and looks them up by index.
"""

from feedback.models.rollups import Measures
from feedback.vocabulary import NEGATIVE, POSITIVE

MEASURES = [field.name for field in Measures._meta.get_fields()]
KEY = ["project_id", "model_version_id", "arm", "source"]
#: Periods of a minute are kept this long; hours and days for ever.
MINUTES_KEPT = "3 days"

#: Some notes, oldest first; the answers they are about.
TAKE = """
    DELETE FROM feedback_rollupdirty WHERE id IN (
        SELECT id FROM feedback_rollupdirty ORDER BY id LIMIT %s
    ) RETURNING message
"""
#: The answers after one, in the order of their ids.
NEXT = "SELECT id FROM feedback_message WHERE id > %s ORDER BY id LIMIT %s"

_FINAL = "('complete', 'stopped', 'failed')"


def _words(reactions: frozenset[str]) -> str:
    return ", ".join(f"'{one}'" for one in sorted(reactions))


def _plain(names: list[str]) -> str:
    return ", ".join(f'"{one}"' for one in names)


_EACH = ("love", "like", "laugh", "dislike", "sad")
#: What stands about each answer: columns of AnswerTally by expression.
_VALUES = {
    "answers": "1",
    "failed": "(m.state = 'failed')::int",
    "cut": "coalesce(a.cut, 0)",
    "shown": "coalesce(a.shown, 0)",
    "reacted": "(o.message_id IS NOT NULL)::int",
    "good": "coalesce(o.good, 0)",
    "bad": "coalesce(o.bad, 0)",
    **{one: f'coalesce(o."{one}", 0)' for one in (*_EACH, "good_milli", "bad_milli")},
    "reported": "coalesce(a.reported, 0)",
    "complained": "greatest(coalesce(a.reported, 0), coalesce(o.bad, 0))",
    **{
        one: f"coalesce(a.{one}, 0)"
        for one in ("copied", "regenerated", "edited", "shared", "followed", "helped", "misled")
    },
    **{one: f"coalesce(v.{one}, 0)" for one in ("wins", "losses", "ties", "both_bad")},
    "prompt_tokens": "coalesce(m.prompt_tokens, 0)",
    "completion_tokens": "coalesce(m.completion_tokens, 0)",
    "timed": "(m.first_token_ms IS NOT NULL AND m.duration_ms IS NOT NULL)::int",
    "first_ms": "CASE WHEN m.duration_ms IS NOT NULL THEN coalesce(m.first_token_ms, 0) ELSE 0 END",
    "whole_ms": "CASE WHEN m.first_token_ms IS NOT NULL THEN coalesce(m.duration_ms, 0) ELSE 0 END",
    "writing_ms": "CASE WHEN m.completion_tokens > 0 AND m.first_token_ms IS NOT NULL "
    "THEN greatest(m.duration_ms - m.first_token_ms, 0) ELSE 0 END",
    "dwell_ms": "coalesce(a.dwell_ms, 0)",
}

_ACTS = {
    "copied": "copy",
    "regenerated": "regenerate",
    "edited": "edit",
    "cut": "stop",
    "reported": "report",
    "shared": "share",
    "followed": "follow-up",
}

_GIVEN = ", ".join(f"bool_or(l.reaction = '{one}')::int AS {_plain([one])}" for one in _EACH)
_DONE = ", ".join(f"bool_or(kind = '{kind}')::int AS {name}" for name, kind in _ACTS.items())

_FRESH = f"""
    told AS MATERIALIZED (
        SELECT e.id, e.message_id, e.kind, e.reaction, e.actor_id, e.guest, e.duration_ms, e.weight
        FROM feedback_event e WHERE e.message_id = ANY(%(ids)s::uuid[])
    ),
    last AS (
        SELECT DISTINCT ON (message_id, actor_id, guest, reaction)
            id, message_id, kind, reaction, weight
        FROM told WHERE kind IN ('reaction', 'retraction')
        ORDER BY message_id, actor_id, guest, reaction, id DESC
    ),
    opinions AS (
        SELECT l.message_id,
            bool_or(l.reaction IN ({_words(POSITIVE)}))::int AS good,
            bool_or(l.reaction IN ({_words(NEGATIVE)}))::int AS bad,
            {_GIVEN},
            coalesce(sum(round(1000 * l.weight * coalesce(t.weight, 1)))
                FILTER (WHERE l.reaction IN ({_words(POSITIVE)})), 0)::bigint AS good_milli,
            coalesce(sum(round(1000 * l.weight * coalesce(t.weight, 1)))
                FILTER (WHERE l.reaction IN ({_words(NEGATIVE)})), 0)::bigint AS bad_milli
        FROM last l LEFT JOIN feedback_reactiontrust t ON t.event_id = l.id
        WHERE l.kind = 'reaction' GROUP BY l.message_id
    ),
    acts AS (
        SELECT message_id,
            bool_or(kind IN ('exposure', 'dwell'))::int AS shown,
            {_DONE},
            bool_or(kind = 'hindsight' AND reaction = 'helped')::int AS helped,
            bool_or(kind = 'hindsight' AND reaction = 'misled')::int AS misled,
            coalesce(sum(duration_ms) FILTER (WHERE kind IN ('exposure', 'dwell')), 0)::bigint
                AS dwell_ms
        FROM told GROUP BY message_id
    ),
    said AS (
        SELECT b.left_id AS message_id, v.outcome, v.outcome = 'left' AS mine
        FROM feedback_battle b JOIN feedback_vote v ON v.battle_id = b.id
        WHERE b.left_id = ANY(%(ids)s::uuid[])
        UNION ALL
        SELECT b.right_id, v.outcome, v.outcome = 'right'
        FROM feedback_battle b JOIN feedback_vote v ON v.battle_id = b.id
        WHERE b.right_id = ANY(%(ids)s::uuid[])
    ),
    votes AS (
        SELECT message_id,
            count(*) FILTER (WHERE mine) AS wins,
            count(*) FILTER (WHERE NOT mine AND outcome IN ('left', 'right')) AS losses,
            count(*) FILTER (WHERE outcome = 'tie') AS ties,
            count(*) FILTER (WHERE outcome = 'both_bad') AS both_bad
        FROM said GROUP BY message_id
    ),
    fresh AS MATERIALIZED (
        SELECT m.id AS message, c.project_id, m.model_version_id,
            coalesce(d.arm, '') AS arm, c.source,
            hashtextextended(coalesce('u' || c.owner_id, 'g' || c.guest), 0) AS person,
            coalesce(m.finished_at, m.created_at) AS at,
            {", ".join(f'{value} AS "{name}"' for name, value in _VALUES.items())}
        FROM feedback_message m
        JOIN feedback_conversation c ON c.id = m.conversation_id
        LEFT JOIN inference_deployment d ON d.id = m.deployment_id
        LEFT JOIN opinions o ON o.message_id = m.id
        LEFT JOIN acts a ON a.message_id = m.id
        LEFT JOIN votes v ON v.message_id = m.id
        WHERE m.id = ANY(%(ids)s::uuid[]) AND m.role = 'assistant' AND m.state IN {_FINAL}
            AND m.model_version_id IS NOT NULL
    ),
    old AS MATERIALIZED (
        SELECT t.* FROM feedback_answertally t WHERE t.message = ANY(%(ids)s::uuid[])
    ),
"""

_TALLY = ["message", *KEY, "person", "at", *MEASURES]
_KEPT = f"""
    gone AS (
        DELETE FROM feedback_answertally WHERE message IN (
            SELECT message FROM old EXCEPT SELECT message FROM fresh
        )
    ),
    kept AS (
        INSERT INTO feedback_answertally ({_plain(_TALLY)})
        SELECT {_plain(_TALLY)} FROM fresh
        ON CONFLICT (message) DO UPDATE SET
            {", ".join(f'"{one}" = excluded."{one}"' for one in _TALLY[1:])}
    ),
"""

_BUCKET = "floor(4 * ln(greatest({}, 1)::float8) / ln(2::float8) + 1e-9)::int"
_LONG = {
    one: f"SELECT '{one}', date_trunc('{one}', start, 'UTC')" for one in ("hour", "day", "week")
}
_MINUTE = f"SELECT 'minute' AS grain, start WHERE start > now() - interval '{MINUTES_KEPT}'"
#: Periods that are counted, and those in which people are told apart.
_PERIODS = f"({_MINUTE} UNION ALL {_LONG['hour']} UNION ALL {_LONG['day']}) g (grain, start)"
_VISITS = f"({_LONG['hour']} UNION ALL {_LONG['day']} UNION ALL {_LONG['week']}) g (grain, start)"


def _moved(extra: list[str], sums: list[str]) -> str:
    """Old and fresh tallies as changes by minute; `extra` and `sums` are expressions AS names."""

    def one(table: str, sign: str) -> str:
        named = [f"{expr} AS {name}" for expr, name in (pair.split(" AS ") for pair in extra)]
        signed = [f'{sign}("{name}") AS "{name}"' for name in sums]
        columns = ", ".join([*KEY, "date_trunc('minute', at, 'UTC') AS start", *named, *signed])
        return f"SELECT {columns} FROM {table}"

    return f"{one('old', '-')} UNION ALL {one('fresh', '+')}"


def _graded(
    name: str, source: str, extra: list[str], sums: list[str], periods: str = _PERIODS
) -> str:
    """Changes summed by period, those that are nothing left out."""
    groups = ", ".join([*KEY, "grain", "g.start", *extra])
    totals = ", ".join(f'sum("{one}")::bigint AS "{one}"' for one in sums)
    changed = " OR ".join(f'sum("{one}") <> 0' for one in sums)
    return f"""
    {name} AS (
        SELECT {groups}, {totals}
        FROM {source} s CROSS JOIN LATERAL {periods}
        GROUP BY {groups} HAVING {changed}
    ),"""


def _summed(name: str, source: str, extra: list[str], sums: list[str]) -> str:
    groups = ", ".join([*KEY, "start", *extra])
    totals = ", ".join(f'sum("{one}")::bigint AS "{one}"' for one in sums)
    return f"""
    {name} AS (SELECT {groups}, {totals} FROM ({source}) x GROUP BY {groups}),"""


def _added(table: str, source: str, extra: list[str], sums: list[str], where: str = "") -> str:
    columns = [*KEY, "grain", "start", *extra, *sums]
    unique = ", ".join([*KEY, "grain", "start", *extra])
    stamp = table == "feedback_rollup"
    into = _plain(columns) + (", updated_at" if stamp else "")
    select = _plain(columns) + (", clock_timestamp()" if stamp else "")
    sets = [f'"{one}" = t."{one}" + excluded."{one}"' for one in sums]
    sets += ["updated_at = excluded.updated_at"] * stamp
    return f"""(
        INSERT INTO {table} AS t ({into}) SELECT {select} FROM {source} {where}
        ON CONFLICT ({unique}) DO UPDATE SET {", ".join(sets)}
    )"""


def _latency_moves() -> str:
    parts = []
    for what, column in (("first", "first_ms"), ("whole", "whole_ms")):
        for table, sign in (("old", "-1"), ("fresh", "1")):
            parts.append(
                f"SELECT {', '.join(KEY)}, date_trunc('minute', at, 'UTC') AS start, "
                f"'{what}' AS what, {_BUCKET.format(column)} AS bucket, {sign} AS n "
                f"FROM {table} WHERE timed = 1"
            )
    return " UNION ALL ".join(parts)


#: Brings everything in step with the answers `ids` (an array); returns nothing.
FOLD = f"""
    WITH
    {_FRESH}
    {_KEPT}
    {_summed("by_minute", _moved([], MEASURES), [], MEASURES)}
    {_graded("counts", "by_minute", [], MEASURES)}
    {_summed("speeds", _latency_moves(), ["what", "bucket"], ["n"])}
    {_graded("latencies", "speeds", ["what", "bucket"], ["n"])}
    {_summed("visits", _moved(["person AS person"], ["answers"]), ["person"], ["answers"])}
    {_graded("crowd", "visits", ["person"], ["answers"], _VISITS)}
    people AS (SELECT {", ".join(KEY)}, grain, start, person, answers AS n FROM crowd),
    add_counts AS {_added("feedback_rollup", "counts", [], MEASURES)},
    add_latencies AS {_added("feedback_rolluplatency", "latencies", ["what", "bucket"], ["n"])}
    {_added("feedback_rollupperson", "people", ["person"], ["n"]).strip()[1:-1]}
"""


def reading(by: list[str], *, extra: str, where: str) -> str:
    """Sums of every measure over some periods, by some columns; 64-bit integers, which are read
    faster than the decimals that a sum of them would be."""
    names = ", ".join([*by, extra] if extra else by)
    sums = ", ".join(f'coalesce(sum("{one}"), 0)::bigint' for one in MEASURES)
    grouped = f"GROUP BY {names} ORDER BY {names}" if names else ""
    columns = f"{names}, {sums}" if names else sums
    return f"SELECT {columns} FROM feedback_rollup WHERE {where} {grouped}"


def crowd(by: list[str], *, table: str, where: str) -> str:
    """How many different people some rows name, by some columns. Grouped twice, because a
    distinct count sorts."""
    names = ", ".join(by)
    inner = ", ".join([*by, "person"])
    columns, grouped = (f"{names}, ", f"GROUP BY {names}") if by else ("", "")
    return (
        f"SELECT {columns}count(*) FROM (SELECT {inner} FROM {table} WHERE {where} "
        f"GROUP BY {inner}) x {grouped}"
    )
