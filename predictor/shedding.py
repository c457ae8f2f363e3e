"""Load shedding: requests that are refused by their head alone, before anything is done for them.

Under overload most are, and what each of them costs is taken from those that are served.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from predictor.errors import OverloadedError, RequestError
from predictor.exchange import REST_V1, REST_V2
from predictor.reply import refusal
from predictor.rest_client import deadline_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.exchange import Exchanges
    from predictor.reply import Reply
    from predictor.served import ServedModel
    from predictor.traffic import Traffic

INFERENCE = re.compile(r"/v2/models/([^/]+)(?:/versions/[^/]+)?/infer|/v1/models/([^/:]+):predict")


class Shedding:
    """Says of requests whose head was read whether they may go on; for an event loop's thread."""

    def __init__(
        self, models: Mapping[str, ServedModel], exchanges: Exchanges, traffic: Traffic
    ) -> None:
        self._models = models
        self._exchanges = exchanges
        self._traffic = traffic
        # Let in since the loop last ran what was due: they are not in their queue yet.
        self._coming: Counter[str] = Counter()

    @property
    def crowded(self) -> bool:
        """Whether anything would be refused."""
        if self._traffic.leaving:
            return False
        return any(m.crowded for m in self._models.values())

    def refuse(self, scope: Mapping[str, Any]) -> Reply | None:
        """What a request is told that would wait for too long; None where it may go on."""
        if not self.crowded:
            return None
        match = INFERENCE.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if match is None:
            return None
        model = self._models.get(match[1] or match[2])
        if model is None or not model.crowded:
            return None
        try:
            model.check_queue(deadline_of(dict(scope["headers"])), self._coming[model.name])
        except OverloadedError as error:
            protocol = REST_V2 if match[1] else REST_V1
            self._exchanges.refuse(model.name, protocol, scope["headers"], error)
            return refusal(error)
        except RequestError:  # said where all else is said
            return None
        self._let_in(model.name)
        return None

    def _let_in(self, name: str) -> None:
        if not self._coming:
            # Behind the tasks of this moment's requests, which join the queue before more is read.
            asyncio.get_running_loop().call_soon(self._coming.clear)
        self._coming[name] += 1
