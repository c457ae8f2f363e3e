"""What the store's commands print: tables for people and documents for ``--json``.

This room owns the text and the JSON fields of every command. It may import the store's data types
and ``inventory``. It must never change a store: it only reads and formats.
"""
