"""Looking after a store: ``python -m storage_init.store list|show|verify|sign|stats|gc STORE``."""
