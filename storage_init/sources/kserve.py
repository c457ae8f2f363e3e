"""KServe's settings for storage: what its webhook puts into an initializer's environment.

``STORAGE_CONFIG``, the S3 variables of a service account's secret, a CA bundle from a configmap,
``<host>-headers``: kserve-storage reads them, so that a source needs no other settings here than
with KServe's own initializer.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from storage_init.base.errors import SourceError


def apply_settings() -> None:
    """Bring ``STORAGE_CONFIG`` and the CA bundle to where the transports look for them.

    Raises:
        SourceError: kserve-storage is not installed, or a setting is not valid JSON.
    """
    storage = _storage()
    try:
        storage._update_with_storage_spec()
    except ValueError as error:
        raise SourceError(f"STORAGE_CONFIG is not valid: {error}") from error
    storage._configure_global_ca_bundle()


def s3_arguments() -> dict[str, Any]:
    """For ``boto3.client``: endpoint, timeouts, addressing, anonymity, certificates."""
    arguments: dict[str, Any] = _storage()._get_s3_client_kwargs()
    return arguments


def headers(host: str) -> dict[str, str]:
    """The headers that a host is to be sent (``<host>-headers``, a JSON object).

    Raises:
        SourceError: it is no object of strings.
    """
    try:
        content = os.environ.get(f"{host}-headers", "{}")
        return msgspec.json.decode(content, type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise SourceError(f"the variable {host}-headers is no JSON object of strings") from error


def _storage() -> Any:
    try:
        from kserve_storage import Storage  # type: ignore[import-untyped]
    except ImportError as error:
        raise SourceError(
            "this source needs kserve-storage: install warmstart[storage-init]"
        ) from error
    return Storage
