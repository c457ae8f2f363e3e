"""Marks at the start of the lines that the pipeline prints and the storage initializer reads."""

RUNNING, DONE, FAILED = "▸", "✓", "✗"
# The last line of a failed run starts with this.
ERROR = "error: "
