"""Looking after a store: ``python -m storage_init.store list|show|verify|stats|gc STORE``."""
