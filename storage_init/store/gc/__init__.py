"""TODO: storage_init/store/gc."""
