"""TODO: storage_init/base."""
