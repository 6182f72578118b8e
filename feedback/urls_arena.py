"""Pages and REST calls of the side-by-side comparison and of trust."""

from django.urls import path

from feedback.api import arena as api
from feedback.api.trust import DoubtedView, TrustView
from feedback.views import arena, trust

urlpatterns = [
    path("arena/", arena.home, name="arena"),
    path("arena/leaderboard/", arena.board, name="leaderboard"),
    path("arena/c/<uuid:conversation_id>/", arena.comparison, name="arena-comparison"),
    path("api/arena/", api.ArenaView.as_view(), name="arena-begin"),
    path(
        "api/arena/<uuid:conversation_id>/battles/", api.BattlesView.as_view(), name="arena-battles"
    ),
    path("api/arena/battles/<uuid:battle_id>/", api.BattleView.as_view(), name="arena-battle"),
    path("api/arena/battles/<uuid:battle_id>/vote/", api.VoteView.as_view(), name="arena-vote"),
    path("api/leaderboard/", api.LeaderboardView.as_view(), name="api-leaderboard"),
    path("console/<slug:slug>/trust/", trust.project, name="trust"),
    path("api/projects/<slug:slug>/trust/", TrustView.as_view(), name="api-trust"),
    path(
        "api/projects/<slug:slug>/trust/reactions/",
        DoubtedView.as_view(),
        name="api-trust-reactions",
    ),
]
