"""TODO: storage_init/store."""
