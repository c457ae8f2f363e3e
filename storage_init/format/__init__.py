"""TODO: storage_init/format."""
