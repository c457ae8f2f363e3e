"""``make bench-architectures``: the table of architectures and tasks, made and written."""

from __future__ import annotations

import sys

from tests.architectures.runner import main

if __name__ == "__main__":
    sys.exit(main())
