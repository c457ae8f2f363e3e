"""TODO: storage_init/store/output."""
