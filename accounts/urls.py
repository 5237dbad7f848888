"""Pages of people and organizations. Sign-in and its kin are django-allauth's, under /accounts/."""

from django.urls.resolvers import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
