"""The place that a URI leads to: the same for every revision, credential and signature of it.

A place is what the operator named and the server that answers for it. Keys and names in a store
are made of places, never of a model's content, so that no model can take another's place.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec

from storage_init.base.uris import shown

# The same URI may lead elsewhere if one of these variables differs.
ENDPOINTS = ("HF_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "STORAGE_EMULATOR_HOST")
SPECS = ("STORAGE_CONFIG", "STORAGE_OVERRIDE_CONFIG")
SERVED = ("hf", "s3", "gs")
# The signatures of S3, Google Cloud Storage, CloudFront and Azure: the parameter that shows that
# there is one, and the names of all its parameters. They change with every signing.
SIGNATURES = (
    ("x-amz-signature", re.compile(r"x-amz-.*")),
    ("x-goog-signature", re.compile(r"x-goog-.*")),
    (
        "signature",
        re.compile(r"signature|expires|policy|key-pair-id|(awsaccesskey|googleaccess)id"),
    ),
    ("sig", re.compile(r"sig|s[eptrv]|spr|srt|ss|ses|sdd|sip|sk(oid|tid|t|e|s|v)")),
)
REPOSITORY = re.compile(r"hf://[^/]+/[^/@:]+")
LABEL_LENGTH = 100


class _Spec(msgspec.Struct, frozen=True):
    """The part of KServe's storage spec that says where a URI leads."""

    endpoint_url: str = ""


def endpoints() -> list[str]:
    """Return the endpoints that this process is told to ask, "" for each default."""
    stated = [os.environ.get(name, "") for name in ENDPOINTS]
    for name in SPECS:
        with suppress(msgspec.MsgspecError):
            spec = msgspec.json.decode(os.environ.get(name) or "{}", type=_Spec)
            stated.append(spec.endpoint_url)
    return stated


def place_of(uri: str) -> str:
    """Return the place that a URI leads to, as a text to be hashed."""
    scheme = uri.partition("://")[0]
    return "\n".join([address_of(uri), *(endpoints() if scheme in SERVED else [])])


def label_of(uri: str) -> str:
    """Return a readable name for the model of a URI: the end of its path."""
    path = shown(address_of(uri)).partition("://")[2].rstrip("/")
    last = "--".join(path.split("/")[-2:])
    return re.sub(r"[^A-Za-z0-9._-]", "-", last).lstrip("._-")[:LABEL_LENGTH] or "model"


def shelf_of(uri: str) -> str:
    """Return the name of the folder that holds the versions fetched from a place.

    The ``+`` keeps it apart from every name that an operator may give to a model.
    """
    return f"{label_of(uri)}+{hashlib.sha256(place_of(uri).encode()).hexdigest()[:16]}"


def address_of(uri: str) -> str:
    """Return a URI without its revision, user, fragment and signature."""
    if repository := REPOSITORY.match(uri):
        return repository[0]
    if not uri.lower().startswith(("http://", "https://")):
        return uri
    query = _unsigned(urlsplit(uri).query)
    return shown(uri).partition("#")[0] + (f"?{query}" if query else "")


def _unsigned(query: str) -> str:
    parameters = query.split("&") if query else []
    names = {_name(each) for each in parameters}
    for sign, signing in SIGNATURES:
        if sign in names:
            parameters = [each for each in parameters if not signing.fullmatch(_name(each))]
    return "&".join(parameters)


def _name(parameter: str) -> str:
    return parameter.partition("=")[0].lower()
