"""TODO: storage_init/fetch."""
