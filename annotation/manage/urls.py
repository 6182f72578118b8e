"""Addresses of the administration pages."""

from django.urls import include, path

from annotation.manage import accounts, data, own, people, preview, projects, tasks

of_project = [
    path("", projects.overview, name="manage-project"),
    path("settings/", projects.settings, name="manage-settings"),
    path("principles/", projects.principles, name="manage-principles"),
    path("state/", projects.change, name="manage-state"),
    path("clone/", projects.clone, name="manage-clone"),
    path("preview/", preview.desk, name="manage-preview"),
    path("preview/step/", preview.step, name="manage-preview-step"),
    path("people/", people.members, name="manage-people"),
    path("people/<int:member_id>/", people.member, name="manage-member"),
    path("invites/", people.invite, name="manage-invite"),
    path("invites/<int:invite_id>/revoke/", people.revoke, name="manage-revoke"),
    path("data/", data.data, name="manage-data"),
    path("tasks/", tasks.table, name="manage-tasks"),
    path("tasks/<int:task_id>/", tasks.one, name="manage-task"),
]

urlpatterns = [
    path("manage/", projects.home, name="manage"),
    path("manage/new/", projects.create, name="manage-new"),
    path("manage/markdown/", projects.words, name="manage-markdown"),
    path("manage/accounts/", accounts.listing, name="manage-accounts"),
    path("manage/accounts/<int:user_id>/", accounts.account, name="manage-account"),
    path("manage/projects/<slug:slug>/", include(of_project)),
    path("manage/accounts/<int:user_id>/erase/", accounts.erase, name="erase-account"),
    path("account/", accounts.own, name="account"),
    path("account/<int:user_id>/keys/", accounts.make_key, name="make-key"),
    path("account/<int:user_id>/keys/<int:key_id>/", accounts.revoke_key, name="revoke-key"),
    path("my-work/", own.history, name="my-work"),
    path("my-work/<uuid:judgment_id>/undo/", own.undo, name="my-work-undo"),
    path("join/<str:secret>/", people.join, name="join"),
]
