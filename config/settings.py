"""Django's settings, composed from the checked environment. What can be set: docs/settings.md."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.templatetags.static import static
from django.urls import reverse_lazy

from config.database import connection_options
from config.env import console_settings, gateway_settings, or_exit
from config.logs import logging_settings
from config.openapi.settings import DOCUMENT

BASE_DIR = Path(__file__).resolve().parent.parent

CONSOLE = or_exit(console_settings)
GATEWAY = or_exit(gateway_settings)
IS_PRODUCTION = CONSOLE.mode == "production"

FAREBOX_GATEWAY = GATEWAY
FAREBOX_CONSOLE = CONSOLE
FAREBOX_KEY_PEPPER = GATEWAY.key_pepper
FAREBOX_KEY_PEPPER_ID = CONSOLE.key_pepper_id
FAREBOX_MASTER_KEY = GATEWAY.master_key
FAREBOX_REDIS_URL = GATEWAY.redis_url
FAREBOX_SHARDS = GATEWAY.shards
FAREBOX_PUBLIC_URL = CONSOLE.public_url
FAREBOX_SIMULATOR_URL = CONSOLE.simulator_url
FAREBOX_STARTING_CREDIT_USD = CONSOLE.starting_credit_usd
FAREBOX_PAYMENT_PROCESSOR = CONSOLE.payment_processor or ("none" if IS_PRODUCTION else "test")
FAREBOX_USAGE_RETENTION_DAYS = CONSOLE.usage_retention_days
FAREBOX_BODY_RETENTION_DAYS = CONSOLE.body_retention_days
FAREBOX_ADMIN_IS_SERVED = CONSOLE.admin_is_served or not IS_PRODUCTION

SECRET_KEY = CONSOLE.secret_key
DEBUG = False
ALLOWED_HOSTS = [*CONSOLE.allowed_hosts, urlsplit(CONSOLE.public_url).hostname or ""]
CSRF_TRUSTED_ORIGINS = [CONSOLE.public_url]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "channels",
    "django_htmx",
    "drf_spectacular",
    "rest_framework",
    "accounts",
    "billing",
    "gateway",
    "analytics",
]

MIDDLEWARE = [
    "config.security.BrowserPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context.tenant",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

_database = urlsplit(GATEWAY.database_url)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(_database.path.lstrip("/")),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname or "",
        "PORT": str(_database.port or ""),
        # The pool needs connections that Django does not keep itself.
        "CONN_MAX_AGE": 0,
        # One that PostgreSQL's restart has cut is replaced, not handed to a page.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **connection_options(_database.query),
            "pool": {"min_size": 0, "max_size": CONSOLE.console_pool_connections, "timeout": 10},
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "config.cache.SharedRedisCache",
        "LOCATION": GATEWAY.redis_url,
        "KEY_PREFIX": "cache",
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # The layer waits up to 5 s for a message; redis-py's own limit for one read is 5 s as well.
        "CONFIG": {"hosts": [{"address": GATEWAY.redis_url, "socket_timeout": 30}], "prefix": "channels"},
    }
}

CELERY_BROKER_URL = GATEWAY.redis_url
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "celery:", "visibility_timeout": 3600}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONSUMER = "config.celery_consumer:SteadyConsumer"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_TIMEZONE = "UTC"
# A worker takes both unless it is told otherwise; audits can have one of their own (-Q audit).
CELERY_TASK_QUEUES = {name: {"exchange": name, "routing_key": name} for name in ("celery", "audit")}
CELERY_TASK_ROUTES = {
    task: {"queue": "audit"}
    for task in ("billing.tasks.prove_ledger", "billing.tasks.match_providers", "gateway.tasks.fetch_bills")
}
# A tick that found no worker in time is dropped: the next one does its work.
CELERY_BEAT_SCHEDULE = {
    "ingest-usage": {
        "task": "billing.tasks.ingest_usage",
        "schedule": timedelta(seconds=1),
        "options": {"expires": 1},
    },
    "roll-up-usage": {
        "task": "analytics.tasks.roll_up_usage",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "publish-epochs": {
        "task": "accounts.tasks.publish_epochs",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "tell-of-budgets": {
        "task": "gateway.tasks.tell_of_budgets",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "prove-ledger": {
        "task": "billing.tasks.prove_ledger",
        "schedule": timedelta(minutes=5),
        "options": {"expires": 240},
    },
    "watch-credit": {
        "task": "billing.tasks.watch_credit",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "settle-payments": {
        "task": "billing.tasks.settle_payments",
        "schedule": timedelta(minutes=5),
        "options": {"expires": 300},
    },
    "issue-invoices": {"task": "billing.tasks.issue_invoices", "schedule": timedelta(hours=1)},
    "fetch-bills": {
        "task": "gateway.tasks.fetch_bills",
        "schedule": timedelta(minutes=10),
        "options": {"expires": 540},
    },
    "forget-old-questions": {"task": "gateway.tasks.forget_old_questions", "schedule": timedelta(hours=1)},
    "match-providers": {
        "task": "billing.tasks.match_providers",
        "schedule": timedelta(hours=1),
        "options": {"expires": 3000},
    },
    "keep-partitions": {"task": "billing.tasks.keep_partitions", "schedule": timedelta(hours=1)},
}

AUTH_USER_MODEL = "accounts.Person"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
]
PASSWORD_RESET_TIMEOUT = 3600

LOGIN_URL = reverse_lazy("account_login")
LOGIN_REDIRECT_URL = reverse_lazy("welcome")
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_SIGNUP_FORM_CLASS = "accounts.forms.SignUpForm"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = CONSOLE.email_verification or ("mandatory" if IS_PRODUCTION else "optional")
ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = 1
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = urlsplit(CONSOLE.public_url).scheme
ACCOUNT_RATE_LIMITS = {"login_failed": "20/h/ip,10/h/key"}

EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if CONSOLE.email_host else 'console'}.EmailBackend"
EMAIL_HOST = CONSOLE.email_host
EMAIL_PORT = CONSOLE.email_port
EMAIL_HOST_USER = CONSOLE.email_user
EMAIL_HOST_PASSWORD = CONSOLE.email_password
EMAIL_USE_TLS = CONSOLE.email_is_tls
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = CONSOLE.email_from

SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_COOKIE_AGE = CONSOLE.session_lifetime_days * 86_400
SESSION_COOKIE_NAME = "__Host-session" if IS_PRODUCTION else "session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if IS_PRODUCTION else "csrftoken"
SECURE_SSL_REDIRECT = IS_PRODUCTION
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "var" / "static" if IS_PRODUCTION else None
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Without `collectstatic` (embedded, tests) files are served from where they lie, as they are right then.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not IS_PRODUCTION
if IS_PRODUCTION:
    STORAGES["staticfiles"]["BACKEND"] = "whitenoise.storage.CompressedManifestStaticFilesStorage"

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.bodies.BoundedJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.bearer.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "config.openapi.management.ManagementSchema",
    "EXCEPTION_HANDLER": "config.rest.answer_failure",
    "URL_FORMAT_OVERRIDE": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = DOCUMENT
UNFOLD = {
    "SITE_TITLE": "Farebox operator",
    "SITE_HEADER": "Farebox operator",
    "SITE_SYMBOL": "payments",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _: static("img/mark.svg")}],
    # Shades of the accent colour in static/css/tokens.css.
    "COLORS": {
        "primary": {
            "50": "#f5f7fe",
            "100": "#ecf0fd",
            "200": "#d5defa",
            "300": "#b3c3ff",
            "400": "#97adff",
            "500": "#5674e6",
            "600": "#2a4bc4",
            "700": "#1f3ba3",
            "800": "#1d3384",
            "900": "#20294a",
            "950": "#10162e",
        }
    },
}

LOGGING = logging_settings(GATEWAY.log_level)
