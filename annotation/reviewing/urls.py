"""Addresses of the review and quality pages."""

from django.urls import path

from annotation.reviewing import quality, review

urlpatterns = [
    path("annotate/me/", quality.own_page, name="annotate-me"),
    path("review/", review.listing, name="review"),
    path("review/<slug:slug>/quality/", quality.project_page, name="review-quality"),
    path("review/<slug:slug>/quality/person/", quality.person, name="review-person"),
    path("review/<slug:slug>/quality/<slug:name>.csv", quality.table, name="review-table"),
    path("review/<slug:slug>/tasks/<int:task_id>/", review.task_page, name="review-task"),
    path(
        "review/<slug:slug>/tasks/<int:task_id>/verdict/", review.verdict_desk, name="review-desk"
    ),
    path(
        "review/<slug:slug>/tasks/<int:task_id>/verdict/step/",
        review.verdict_step,
        name="review-step",
    ),
]
