"""Versions in other forms: from format 2 to format 3, and to an OCI image layout and back.

This room owns ``migrate``, ``export-oci`` and ``import-oci``. It may import the store's ``layout``,
``publish`` and ``check``. It must never delete a version or change one in its place.
"""
