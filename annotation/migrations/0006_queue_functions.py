"""The two hot statements of the queue as functions, and the indexes they walk.

Locks are taken in one order: the person's advisory lock (claims only), the task's row, then what
hangs on it. The settings on `annotation_claim`, and each `+ 0` that hides a column from an index
that fits less well, keep its plans on the indexes meant whatever the statistics say of a project
that was filled a moment ago: never a sort of the whole queue, never a person's whole history.
"""

from django.db import migrations, models

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
_ORDINARY = (
    f"{_ROOM} AND t.reserved_for_id IS NULL AND NOT t.is_calibration"
    " AND (t.gold IS NULL OR v.gold_rate = 0)"
)
_GOLD = "t.gold IS NOT NULL AND NOT t.is_calibration AND t.state <> 'withdrawn'"
_DEPTH = "t.priority DESC, t.id"
_BREADTH = "t.priority DESC, t.taken, t.id"

CLAIM = f"""
CREATE FUNCTION annotation_claim(
    p_slug text, p_person bigint, p_wait boolean,
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

    -- The lease they hold; the newest when undo made several. One that ran out while nobody swept
    -- it up is theirs still, and runs again from now.
    SELECT a.id, a.task_id, a.expires_at <= now() INTO assignment, task, v_late
    FROM annotation_assignment a JOIN annotation_task t ON t.id = a.task_id
    WHERE a.annotator_id + 0 = p_person AND a.state = 'leased' AND t.project_id + 0 = v.id
    ORDER BY a.claimed_at + interval '0' DESC LIMIT 1;
    IF FOUND THEN
        IF NOT v_late THEN RETURN; END IF;
        PERFORM 1 FROM annotation_task t WHERE t.id = task FOR UPDATE;
        UPDATE annotation_assignment a
        SET expires_at = now() + make_interval(secs => v.lease_seconds)
        WHERE a.id = assignment AND a.state = 'leased';
        IF FOUND THEN RETURN; END IF;
        assignment := NULL;
        task := NULL;
    END IF;

    -- What is kept for this person comes first.
    {_pick(f"{_ROOM} AND t.reserved_for_id = p_person", _DEPTH, "", "t.project_id + 0 = v.id")}

    -- Then the exercise of a newcomer, as many places as there are newcomers.
    IF v_task IS NULL AND v.calibration_size > 0 AND v.newcomer THEN
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
            FROM annotation_assignment a WHERE a.annotator_id + 0 = p_person
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
        (id, task_id, annotator_id, state, token, shown, claimed_at, expires_at, skip_reason)
    VALUES (
        gen_random_uuid(), v_task, p_person, 'leased', gen_random_uuid(),
        ARRAY(SELECT c.id FROM annotation_candidate c WHERE c.task_id = v_task ORDER BY random()),
        clock_timestamp(), clock_timestamp() + make_interval(secs => v.lease_seconds), '')
    ON CONFLICT (task_id, annotator_id) DO UPDATE SET
        state = 'leased', token = gen_random_uuid(), ended_at = NULL, skip_reason = '',
        claimed_at = excluded.claimed_at, expires_at = excluded.expires_at
    RETURNING id INTO assignment;
END $$;
"""

SUBMIT = """
CREATE FUNCTION annotation_submit(
    p_assignment uuid, p_person bigint, p_token uuid, p_key text,
    p_judgment uuid, p_kind text, p_rationale text, p_flags text[], p_seconds float8,
    p_created timestamptz, p_outcome text, p_preferred bigint, p_strength smallint,
    p_actor text, p_digest bytea)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_task bigint;
    v_project bigint;
    v_shown bigint[];
BEGIN
    SELECT t.id, t.project_id INTO v_task, v_project FROM annotation_task t
    WHERE t.id = (SELECT a.task_id FROM annotation_assignment a
                  WHERE a.id = p_assignment AND a.annotator_id = p_person)
    FOR UPDATE OF t;
    IF NOT FOUND
       OR EXISTS (SELECT 1 FROM annotation_judgment j
                  WHERE j.annotator_id = p_person AND j.idempotency_key = p_key)
       OR EXISTS (SELECT 1 FROM annotation_judgment j
                  WHERE j.annotator_id + 0 = p_person AND j.task_id = v_task
                    AND j.withdrawn_at IS NULL)
    THEN RETURN false; END IF;
    UPDATE annotation_assignment a SET state = 'submitted', ended_at = now()
    WHERE a.id = p_assignment AND a.annotator_id = p_person AND a.state = 'leased'
      AND a.token = coalesce(p_token, a.token)
    RETURNING a.shown INTO v_shown;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE annotation_task t SET done = t.done + 1,
        state = CASE WHEN t.state = 'open' AND t.done + 1 >= t.overlap THEN 'done' ELSE t.state END
    WHERE t.id = v_task;
    INSERT INTO annotation_judgment
        (id, project_id, task_id, assignment_id, annotator_id, kind, source, shown, rationale,
         flags, seconds, surplus, idempotency_key, created_at)
    VALUES (p_judgment, v_project, v_task, p_assignment, p_person, p_kind, 'web', v_shown,
            p_rationale, p_flags, p_seconds, false, p_key, p_created);
    IF p_outcome IS NOT NULL THEN
        INSERT INTO annotation_pairwisejudgment (judgment_id, outcome, preferred_id, strength)
        VALUES (p_judgment, p_outcome, p_preferred, p_strength);
    END IF;
    INSERT INTO annotation_logentry
        (project_id, action, subject, subject_id, actor, digest, at)
    VALUES (v_project, 'stored', 'judgment', p_judgment::text, p_actor, p_digest, p_created);
    DELETE FROM annotation_draft d WHERE d.assignment_id = p_assignment;
    RETURN true;
END $$;
"""

# The head of the queue is where rows change: clear it long before a fifth of a large table has
# changed, indexes too, so that a claim never walks over many dead entries.
TIDY = """
ALTER TABLE annotation_task SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
    vacuum_index_cleanup = on, fillfactor = 85);
ALTER TABLE annotation_assignment SET (fillfactor = 85);
"""
UNTIDY = """
ALTER TABLE annotation_task RESET (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    vacuum_index_cleanup, fillfactor);
ALTER TABLE annotation_assignment RESET (fillfactor);
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0005_log_guard"), ("config", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                fields=["project", "-priority", "taken", "id"],
                condition=models.Q(state="open", taken__lt=models.F("overlap")),
                name="task_queue_breadth",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                fields=["project", "id"],
                condition=models.Q(is_calibration=True),
                name="task_calibration",
            ),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                models.F("annotator_id") + 0,
                condition=models.Q(state="leased"),
                name="assignment_held",
            ),
        ),
        migrations.RunSQL(CLAIM, "DROP FUNCTION annotation_claim(text, bigint, boolean)"),
        migrations.RunSQL(
            SUBMIT,
            "DROP FUNCTION annotation_submit(uuid, bigint, uuid, text, uuid, text, text, text[],"
            " float8, timestamptz, text, bigint, smallint, text, bytea)",
        ),
        migrations.RunSQL(TIDY, UNTIDY),
    ]
