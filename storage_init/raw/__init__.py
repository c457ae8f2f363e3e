"""TODO: storage_init/raw."""
