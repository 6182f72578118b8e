"""JSON shapes of the research doors."""

from rest_framework import serializers


class SnapshotIn(serializers.Serializer):
    """What to draw: `{"project": "demo", "query": {"until": "..."}}`."""

    project = serializers.SlugField(max_length=60)
    query = serializers.DictField(required=False)


class SnapshotOut(serializers.Serializer):
    id = serializers.UUIDField()
    project = serializers.CharField(source="project.slug")
    hash = serializers.CharField(source="digest")
    query = serializers.DictField()
    counts = serializers.DictField()
    people = serializers.IntegerField()
    location = serializers.CharField()
    created_at = serializers.DateTimeField()


class RunIn(serializers.Serializer):
    """What to train: a recipe's name, the snapshot's id or hash, and what differs."""

    recipe = serializers.SlugField(max_length=80)
    snapshot = serializers.CharField(max_length=64)
    base = serializers.CharField(max_length=100, required=False)
    params = serializers.DictField(required=False)
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1, default=0)


class RunOut(serializers.Serializer):
    id = serializers.UUIDField()
    project = serializers.CharField(source="project.slug")
    task = serializers.CharField()
    recipe = serializers.CharField()
    state = serializers.CharField()
    phase = serializers.CharField()
    step = serializers.IntegerField()
    total = serializers.IntegerField()
    attempt = serializers.IntegerField()
    config = serializers.DictField()
    metrics = serializers.DictField()
    error = serializers.CharField()
    model = serializers.CharField(source="model.name", default=None, allow_null=True)
    base = serializers.CharField(source="base.name", default=None, allow_null=True)
    snapshot = serializers.UUIDField(source="snapshot_id", allow_null=True)
    round = serializers.UUIDField(source="round_id", allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class RoundIn(serializers.Serializer):
    """Whose round, and the settings that differ from the project's."""

    project = serializers.SlugField(max_length=60)
    config = serializers.DictField(required=False)


class RoundOut(serializers.Serializer):
    id = serializers.UUIDField()
    project = serializers.CharField(source="project.slug")
    number = serializers.IntegerField()
    state = serializers.CharField()
    step = serializers.CharField()
    steps = serializers.DictField()
    config = serializers.DictField()
    gate = serializers.DictField()
    error = serializers.CharField()
    result = serializers.DictField()
    runs = RunOut(many=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ModelOut(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.CharField()
    form = serializers.CharField()
    digest = serializers.CharField()
    serving = serializers.ListField(child=serializers.CharField())
    lineage = serializers.DictField()
    created_at = serializers.DateTimeField()


class DecisionIn(serializers.Serializer):
    """Why, and in which project, if the model has more than one."""

    project = serializers.SlugField(max_length=60)
    reason = serializers.CharField(max_length=2000)


class DeploymentOut(serializers.Serializer):
    id = serializers.UUIDField()
    project = serializers.CharField()
    model = serializers.CharField(source="model_version.name")
    arm = serializers.CharField()
    weight = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    reason = serializers.CharField()
