"""``python -m tests.clients ROW ROOT GRPC TOKENIZER``: one row's answer, as JSON."""

from __future__ import annotations

import json
import sys

from tests.clients.rows import Server
from tests.clients.table import ROWS

if __name__ == "__main__":
    name, *server = sys.argv[1:]
    answer = ROWS[name].ask(Server(*server))
    # What libraries print comes before.
    print("\n" + json.dumps(answer))
