"""TODO: storage_init/sources/transfer."""
