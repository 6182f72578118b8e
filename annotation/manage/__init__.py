"""Pages for those who run a project: its settings, its people, its data, its tasks."""
