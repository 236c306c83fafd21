# A stock Django: its admin, behind its own RemoteUserMiddleware. The app knows nothing of the gateway but the header.
import os
import pathlib

from django.conf import settings

DATA = pathlib.Path(os.environ.get("APP_DATA", "/data"))

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.environ.get("APP_SECRET", "only-for-the-example-change-it-in-your-own"),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="settings_app",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA / "app.sqlite3")}},
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware", "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
        "settings_app.HeaderMiddleware", "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["settings_app.HeaderBackend"],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)

import django  # noqa: E402

django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.backends import RemoteUserBackend  # noqa: E402
from django.contrib.auth.middleware import RemoteUserMiddleware  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.shortcuts import redirect  # noqa: E402
from django.urls import path  # noqa: E402


class HeaderMiddleware(RemoteUserMiddleware):
    header = "HTTP_REMOTE_USER"


class HeaderBackend(RemoteUserBackend):
    def configure_user(self, request, user):
        user.is_staff = user.is_superuser = True
        user.save()
        return user


urlpatterns = [
    path("", lambda request: redirect("/admin/")),
    path("healthz", lambda request: HttpResponse("ok", content_type="text/plain")),
    path("admin/", admin.site.urls),
]
