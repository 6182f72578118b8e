"""Who may knock at the doors of a project; which project opens is decided by `policies`."""

from rest_framework.permissions import BasePermission

from config.auth import scopes_of


class Manages(BasePermission):
    """For those who manage the project: keys and people with the scope research, and in a browser
    also its own researchers, whatever they are in the house.

    The view must reach the project through `policies.managed_project`.
    """

    message = "This needs the scope 'research', or the role researcher in this project."

    def has_permission(self, request, view) -> bool:
        scopes = scopes_of(request)
        return "research" in scopes or (request.auth is None and "annotate" in scopes)
