"""ASGI entry point: HTTP to Django, WebSockets to the apps' consumers.

An app with a module `hot` answers its busiest calls before Django does (config.hot), and so are
static files (config.statics). The doors under /v1/ go through Django without its middleware.
"""

import os
from importlib import import_module
from importlib.util import find_spec

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402  apps must be loaded first
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from config.doors import Doors  # noqa: E402
from config.observing import Observed  # noqa: E402
from config.routing import websocket_urlpatterns  # noqa: E402
from config.statics import Statics  # noqa: E402

http_application = Doors(django_application)
for app in ("annotation",):
    if find_spec(f"{app}.hot"):
        http_application = import_module(f"{app}.hot").around(http_application)

application = ProtocolTypeRouter(
    {
        "http": Observed(Statics(http_application)),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)
