"""KServe's storage settings, which its webhook puts into an initializer's environment.

kserve-storage reads ``STORAGE_CONFIG``, the S3 variables of a service account's secret and the CA
bundle of a configmap; this module reads ``<host>-headers``. So a source needs no other settings
than with KServe's own initializer.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from storage_init.base.errors import SourceError


def apply_settings() -> None:
    """Put ``STORAGE_CONFIG`` and the CA bundle where the transports look for them.

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
    """Return the arguments of ``boto3.client``: endpoint, timeouts, addressing, certificates."""
    arguments: dict[str, Any] = _storage()._get_s3_client_kwargs()
    return arguments


def headers(host: str) -> dict[str, str]:
    """Return the headers to send to a host (``<host>-headers``, a JSON object).

    Raises:
        SourceError: the variable is not an object of strings.
    """
    try:
        content = os.environ.get(f"{host}-headers", "{}")
        return msgspec.json.decode(content, type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise SourceError(f"the variable {host}-headers is not a JSON object of strings") from error


def _storage() -> Any:
    try:
        from kserve_storage import Storage  # type: ignore[import-untyped]
    except ImportError as error:
        raise SourceError(
            "this source needs kserve-storage: install warmstart[storage-init]"
        ) from error
    return Storage
