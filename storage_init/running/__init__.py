"""TODO: storage_init/running."""
