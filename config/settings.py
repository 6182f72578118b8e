"""One settings module for every environment; what differs comes from the environment."""

import secrets
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from config.csp import CONTENT_SECURITY_POLICY  # noqa: F401 - read by django-csp
from config.embedded import locations
from config.env import env, to_bool, to_list

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()
PORT = env("PORT", int, 8000)


def _secret_key() -> str:
    """SECRET_KEY, or one made at first start and kept with the data it signs."""
    given = env("SECRET_KEY", default=None)
    if given:
        return given
    path = VAR_DIR / "secret_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text().strip()


DEBUG = env("DEBUG", to_bool, False)
SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env("ALLOWED_HOSTS", to_list, ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env("CSRF_TRUSTED_ORIGINS", to_list, [])

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "csp",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "config",
    "inference",
    "annotation",
    "feedback",
    "alignment",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.interface",
            ],
        },
    },
]

# Data ---------------------------------------------------------------------------------------

_embedded = locations(VAR_DIR)
DATABASE_URL = env("DATABASE_URL", default=_embedded.database_url)
REDIS_URL = env("REDIS_URL", default=_embedded.redis_url)


def _database(url: str) -> dict:
    parts = conninfo_to_dict(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "OPTIONS": {
            **parts,
            # After an outage the pool tries again within seconds, not ever more seldom.
            "pool": {
                "min_size": 1,
                "max_size": env("DATABASE_POOL", int, 12),
                "timeout": 10,
                "reconnect_timeout": 4,
            },
        },
        "CONN_HEALTH_CHECKS": True,  # a connection that the server dropped is not handed out
    }


DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "preferendum"},
    },
}

ARTEFACTS_DIR = Path(env("ARTEFACTS_DIR", default=str(VAR_DIR / "artefacts")))
RUNS_DIR = Path(env("RUNS_DIR", default=str(VAR_DIR / "runs")))

# Background work ----------------------------------------------------------------------------


def _broker(url: str) -> str:
    """Celery spells a unix socket differently from redis-py."""
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


CELERY_BROKER_URL = _broker(env("BROKER_URL", default=REDIS_URL))
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # workers log as LOGGING below says
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 6 * 3600}
CELERY_TASK_ROUTES = {
    "alignment.tasks.execute_run": {"queue": "train"},
    "alignment.tasks.measure_drift": {"queue": "train"},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "run" / "beat")

# Generation ---------------------------------------------------------------------------------

ENGINE_URL = env("ENGINE_URL", default=f"http://127.0.0.1:{PORT + 1}")
# Several engines behind one pool, comma-separated; ENGINE_URL alone where this is empty.
ENGINE_URLS = env("ENGINE_URLS", to_list, [])
ENGINE_KEY = env("ENGINE_KEY", default="")
PREFERENDUM_MODEL = env("PREFERENDUM_MODEL", default="")
# "transformers" or "vllm"; "auto" asks the engine itself which of the two it is.
ENGINE_KIND = env("ENGINE_KIND", default="auto")
# Per web process: answers generated at once, and requests that may wait for their turn.
ENGINE_RUNNING = env("ENGINE_RUNNING", int, 8)
ENGINE_WAITING = env("ENGINE_WAITING", int, 64)
# Deadlines in seconds: to connect, to the first piece of text, between pieces, for all of it.
ENGINE_CONNECT_S = env("ENGINE_CONNECT_S", float, 30.0)
ENGINE_FIRST_TOKEN_S = env("ENGINE_FIRST_TOKEN_S", float, 60.0)
ENGINE_STALL_S = env("ENGINE_STALL_S", float, 30.0)
ENGINE_TOTAL_S = env("ENGINE_TOTAL_S", float, 300.0)

# Chat ---------------------------------------------------------------------------------------

CHAT_PROJECT = env("CHAT_PROJECT", default="demo")
CHAT_MAX_CHARS = env("CHAT_MAX_CHARS", int, 32_000)
# Answers of one person that may be under way at once.
CHAT_PARALLEL = env("CHAT_PARALLEL", int, 4)
# An answer that nobody has been reading for this long is stopped.
CHAT_GRACE_S = env("CHAT_GRACE_S", float, 20.0)
CHAT_TEMPERATURE = env("CHAT_TEMPERATURE", float, 0.9)
CHAT_TOP_P = env("CHAT_TOP_P", float, 0.95)
CHAT_MAX_TOKENS = env("CHAT_MAX_TOKENS", int, 400)
# An answer is asked about again when it is at least this old (and at most two weeks).
CHAT_HINDSIGHT_AFTER_H = env("CHAT_HINDSIGHT_AFTER_H", float, 20.0)
# What one key may do at the doors under /v1/; 0 is without limit. A key may have limits of its own.
API_REQUESTS_PER_MINUTE = env("API_REQUESTS_PER_MINUTE", int, 600)
API_TOKENS_PER_DAY = env("API_TOKENS_PER_DAY", int, 0)
# Whether webhooks may go to addresses inside a private network.
WEBHOOKS_PRIVATE = env("WEBHOOKS_PRIVATE", to_bool, False)

# People -------------------------------------------------------------------------------------

AUTH_USER_MODEL = "config.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = env("UPLOAD_LIMIT_MB", int, 64) * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "config.auth.BearerKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["config.auth.Closed"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.api.handle",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Preferendum",
    "DESCRIPTION": "Judgments on language-model answers, and the models made from them.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
}

# Words and files ----------------------------------------------------------------------------

LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": ARTEFACTS_DIR},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "config.logs.Line",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
        "json": {"()": "config.logs.Json"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json" if env("LOG_FORMAT", default="line") == "json" else "line",
        }
    },
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
    "loggers": {"httpx": {"level": "WARNING"}, "httpcore": {"level": "WARNING"}},
}
