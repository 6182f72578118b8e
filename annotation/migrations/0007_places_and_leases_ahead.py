"""The claim, with places kept for a person counted one by one, and a lease taken in advance.

A task kept for one person keeps one place for them until they hold or have judged it; the other
places are anyone's. A claim in advance gives the task that will come after the one on the desk, so
that a page can show it without waiting: it is a lease like any other, and begins when the claim
for the present task finds it.
"""

from importlib import import_module

from django.db import migrations, models

before = import_module("annotation.migrations.0006_queue_functions")

# Nothing this person holds, judged or skipped, nor their own text. OFFSET 0 and `+ 0` keep each
# check a look-up by task for the few tasks walked over, never a walk over all that the person did.
_NEW_TO_PERSON = """
    t.skills <@ v.skills
    AND NOT EXISTS (
        SELECT 1 FROM annotation_assignment a
        WHERE a.task_id = t.id AND a.annotator_id + 0 = p_person
          AND a.state IN ('leased', 'submitted', 'skipped') OFFSET 0)
    AND NOT EXISTS (
        SELECT 1 FROM annotation_candidate c
        WHERE c.task_id = t.id AND c.author_id + 0 = p_person OFFSET 0)
    AND NOT EXISTS (
        SELECT 1 FROM annotation_judgment j
        WHERE j.task_id = t.id AND j.annotator_id + 0 = p_person AND j.withdrawn_at IS NULL
        OFFSET 0)
"""


def _pick(where: str, order: str, locked: str, project: str = "t.project_id = v.id") -> str:
    return f"""
        SELECT t.id INTO v_task FROM annotation_task t
        WHERE {project} AND {where} AND {_NEW_TO_PERSON}
        ORDER BY {order} LIMIT 1 FOR UPDATE OF t {locked};"""


_ROOM = "t.state = 'open' AND t.taken < t.overlap"
# A task kept for someone has a place fewer for others, until that person holds or has judged it.
_PLACE = """(
    t.reserved_for_id IS NULL OR t.taken + 1 < t.overlap OR EXISTS (
        SELECT 1 FROM annotation_assignment r
        WHERE r.task_id = t.id AND r.annotator_id = t.reserved_for_id
          AND r.state IN ('leased', 'submitted') OFFSET 0))"""
_ORDINARY = f"{_ROOM} AND {_PLACE} AND NOT t.is_calibration AND (t.gold IS NULL OR v.gold_rate = 0)"
_GOLD = "t.gold IS NOT NULL AND NOT t.is_calibration AND t.state <> 'withdrawn'"
_DEPTH = "t.priority DESC, t.id"
_BREADTH = "t.priority DESC, t.taken, t.id"

CLAIM = f"""
CREATE FUNCTION annotation_claim(
    p_slug text, p_person bigint, p_wait boolean, p_ahead boolean,
    OUT outcome text, OUT assignment uuid, OUT task bigint)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_sort = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v record;
    v_task bigint;
    v_grow boolean := false;
    v_late boolean;
    v_waits boolean;
    v_draw float8 := 1;
    v_first bigint;
    v_last bigint;
    v_done integer;
BEGIN
    SELECT p.id, p.is_paused, p.archived_at IS NOT NULL AS archived, p.lease_seconds,
           p."order" = 'breadth' AS breadth, p.gold_rate, p.repeat_rate, p.calibration_size,
           m.id AS member, coalesce(m.is_paused, false) AS person_paused,
           coalesce(m.skills, '{{}}') AS skills,
           m.id IS NOT NULL AND m.calibrated_at IS NULL AS newcomer,
           u.role IN ('researcher', 'admin') AND u.is_active AS sees_all
    INTO v
    FROM config_user u, annotation_project p
    LEFT JOIN annotation_membership m ON m.project_id = p.id AND m.user_id = p_person
    WHERE u.id = p_person AND p.slug = p_slug;
    outcome := CASE
        WHEN NOT FOUND OR NOT (v.member IS NOT NULL OR v.sees_all) THEN 'unknown'
        WHEN v.archived THEN 'archived'
        WHEN v.is_paused THEN 'paused'
        WHEN v.person_paused THEN 'person paused'
    END;
    IF outcome IS NOT NULL THEN RETURN; END IF;

    -- A person's claims go one by one; what is read from here on is current.
    PERFORM pg_advisory_xact_lock(hashtextextended('claim', v.id * 1000003 + p_person));
    outcome := 'leased';

    -- The lease they hold; the newest when undo made several, and one taken in advance last. In
    -- advance, the one after it. One that ran out while nobody swept it up is theirs still, and
    -- runs again from now; one taken in advance begins when its turn has come.
    SELECT a.id, a.task_id, a.expires_at <= now(), a.is_ahead AND NOT p_ahead
    INTO assignment, task, v_late, v_waits
    FROM annotation_assignment a JOIN annotation_task t ON t.id = a.task_id
    WHERE a.annotator_id + 0 = p_person AND a.state = 'leased' AND t.project_id + 0 = v.id
    ORDER BY a.is_ahead, a.claimed_at + interval '0' DESC OFFSET p_ahead::int LIMIT 1;
    IF FOUND THEN
        IF NOT (v_late OR v_waits) THEN RETURN; END IF;
        PERFORM 1 FROM annotation_task t WHERE t.id = task FOR UPDATE;
        UPDATE annotation_assignment a
        SET expires_at = now() + make_interval(secs => v.lease_seconds),
            claimed_at = CASE WHEN v_waits THEN clock_timestamp() ELSE a.claimed_at END,
            is_ahead = a.is_ahead AND NOT v_waits
        WHERE a.id = assignment AND a.state = 'leased';
        IF FOUND THEN RETURN; END IF;
        assignment := NULL;
        task := NULL;
    END IF;

    -- What is kept for this person comes first.
    {_pick(f"{_ROOM} AND t.reserved_for_id = p_person", _DEPTH, "", "t.project_id + 0 = v.id")}

    -- Then the exercise of a newcomer, as many places as there are newcomers.
    IF v_task IS NULL AND v.calibration_size > 0 AND v.newcomer THEN
        IF p_ahead THEN  -- each task of the exercise is asked for by itself: it may be the last
            outcome := 'none';
            RETURN;
        END IF;
        SELECT count(*) INTO v_done
        FROM annotation_task t JOIN annotation_assignment a ON a.task_id = t.id
        WHERE t.project_id = v.id AND t.is_calibration AND a.annotator_id + 0 = p_person
          AND a.state IN ('submitted', 'skipped');
        IF v_done < v.calibration_size THEN
            {_pick("t.is_calibration AND t.state <> 'withdrawn'", "t.id", "")}
            v_grow := v_task IS NOT NULL;
        END IF;
        IF v_task IS NULL AND EXISTS (
            SELECT 1 FROM annotation_task t WHERE t.project_id = v.id AND t.is_calibration)
        THEN
            outcome := 'calibrating';
            RETURN;
        END IF;
    END IF;

    IF v_task IS NULL THEN
        IF v.breadth AND p_wait THEN
            {_pick(_ORDINARY, _BREADTH, "")}
        ELSIF v.breadth THEN
            {_pick(_ORDINARY, _BREADTH, "SKIP LOCKED")}
        ELSIF p_wait THEN
            {_pick(_ORDINARY, _DEPTH, "")}
        ELSE
            {_pick(_ORDINARY, _DEPTH, "SKIP LOCKED")}
        END IF;
        IF v_task IS NULL THEN
            outcome := 'none';
            RETURN;
        END IF;

        -- One draw decides between ordinary work, gold and a repeat: by the last lease and the
        -- task at hand, so asking again does not change it, and nobody can tell beforehand.
        IF v.gold_rate > 0 OR v.repeat_rate > 0 THEN
            SELECT (hashtextextended(a.id::text, v_task) & 1048575) / 1048576.0 INTO v_draw
            FROM annotation_assignment a WHERE a.annotator_id = p_person
            ORDER BY a.claimed_at DESC LIMIT 1;
            v_draw := coalesce(v_draw, 1);
        END IF;
        IF v_draw < v.gold_rate THEN
            v_last := v_task;
            SELECT min(t.id) + floor((max(t.id) - min(t.id) + 1) * v_draw / v.gold_rate)
            INTO v_first FROM annotation_task t WHERE t.project_id = v.id AND {_GOLD};
            {_pick(f"{_GOLD} AND t.reserved_for_id IS NULL AND t.id >= v_first", "t.id", "SKIP LOCKED")}
            IF v_task IS NULL THEN
                {_pick(f"{_GOLD} AND t.reserved_for_id IS NULL", "t.id", "SKIP LOCKED")}
            END IF;
            v_grow := v_task IS NOT NULL;
            v_task := coalesce(v_task, v_last);
        ELSIF v_draw < v.gold_rate + v.repeat_rate THEN
            SELECT j.task_id INTO task
            FROM annotation_judgment j JOIN annotation_task t ON t.id = j.task_id
            WHERE j.annotator_id = p_person AND j.project_id + 0 = v.id
              AND j.withdrawn_at IS NULL AND NOT j.surplus AND j.assignment_id IS NOT NULL
              AND t.gold IS NULL AND t.repeat_of_id IS NULL AND t.state <> 'withdrawn'
              AND NOT EXISTS (
                  SELECT 1 FROM annotation_task r
                  WHERE r.repeat_of_id = t.id AND r.reserved_for_id + 0 = p_person OFFSET 0)
            ORDER BY j.created_at DESC OFFSET 10 LIMIT 1;
            IF FOUND THEN
                outcome := 'repeat';
                RETURN;
            END IF;
        END IF;
    END IF;

    -- Gold and exercises make room for everyone: their overlap grows with the people asked.
    IF v_grow THEN
        UPDATE annotation_task t
        SET taken = t.taken + 1, overlap = greatest(t.overlap, t.taken + 1), state = 'open'
        WHERE t.id = v_task;
    ELSE
        UPDATE annotation_task t SET taken = t.taken + 1 WHERE t.id = v_task;
    END IF;
    task := v_task;
    -- One row for a person and a task, ever: a lease that comes back keeps the order first shown.
    INSERT INTO annotation_assignment
        (id, task_id, annotator_id, state, token, shown, claimed_at, expires_at, skip_reason,
         is_ahead)
    VALUES (
        gen_random_uuid(), v_task, p_person, 'leased', gen_random_uuid(),
        ARRAY(SELECT c.id FROM annotation_candidate c WHERE c.task_id = v_task ORDER BY random()),
        clock_timestamp(), clock_timestamp() + make_interval(secs => v.lease_seconds), '',
        p_ahead)
    ON CONFLICT (task_id, annotator_id) DO UPDATE SET
        state = 'leased', token = gen_random_uuid(), ended_at = NULL, skip_reason = '',
        claimed_at = excluded.claimed_at, expires_at = excluded.expires_at,
        is_ahead = excluded.is_ahead
    RETURNING id INTO assignment;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0006_queue_functions")]

    operations = [
        migrations.AddField(
            model_name="assignment",
            name="is_ahead",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RunSQL(
            f"DROP FUNCTION annotation_claim(text, bigint, boolean); {CLAIM}",
            "DROP FUNCTION annotation_claim(text, bigint, boolean, boolean);" + before.CLAIM,
        ),
    ]
