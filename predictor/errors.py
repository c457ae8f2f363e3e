"""The errors of a load, one class per check, and of a request, one class per status."""

from __future__ import annotations

from typing import ClassVar

from storage_init.base.errors import WarmstartError

# Characters of what a client is told at most.
MESSAGE_CHARACTERS = 1000


class NoVariantError(WarmstartError):
    """No variant of the package runs on this host."""


class SelfTestError(WarmstartError):
    """The model's answers differ from those it gave when it was prepared."""


class WarmupError(WarmstartError):
    """An inference of the warm-up failed."""


class UnsupportedModelError(WarmstartError):
    """A folder holds no model that the predictor can serve."""


class PortError(WarmstartError):
    """The server cannot listen on a port."""


class RequestError(WarmstartError):
    """A request that cannot be answered.

    ``status`` and ``grpc_code``: what the client receives. ``retry_after``: seconds after which a
    retry may succeed, None if it cannot.
    """

    status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    retry_after: int | None = None

    def __init__(self, message: str) -> None:
        # It may quote what a client sent, of any length; gRPC's headers have room for 8 KiB.
        cut = len(message) > MESSAGE_CHARACTERS
        super().__init__(message[:MESSAGE_CHARACTERS] + "…" if cut else message)


class InvalidRequestError(RequestError):
    """The request is wrong; the message says what to change."""

    status = 400
    grpc_code = "INVALID_ARGUMENT"


class UnknownModelError(RequestError):
    """The server has no model, or no version, of that name."""

    status = 404
    grpc_code = "NOT_FOUND"

    def __init__(self, name: str, version: str | None = None) -> None:
        what = f"{name} has no version {version}" if version else f"there is no model {name}"
        super().__init__(f"{what} here")


class UnknownPathError(RequestError):
    """The server has no such path."""

    status = 404
    grpc_code = "UNIMPLEMENTED"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is nothing at {path}")


class WrongMethodError(RequestError):
    """The path does not have this method; the message names those it has."""

    status = 405
    grpc_code = "UNIMPLEMENTED"


class EncodingError(RequestError):
    """The body has a Content-Encoding that the server does not decode."""

    status = 415
    grpc_code = "INVALID_ARGUMENT"


class NotReadyError(RequestError):
    """The model is not loaded yet, or no longer."""

    status = 503
    grpc_code = "UNAVAILABLE"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"model {name} is not ready")


class TooLargeError(RequestError):
    """The request exceeds a limit; the message names the limit and its setting."""

    status = 413
    grpc_code = "INVALID_ARGUMENT"


class SlowSenderError(RequestError):
    """A request took too long to arrive."""

    status = 408
    grpc_code = "DEADLINE_EXCEEDED"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the request did not arrive within {seconds:g} s (--max_receive_seconds)")


class OverloadedError(RequestError):
    """The queue is full; the request is refused before any work is done for it."""

    status = 429
    grpc_code = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PendingBytesError(RequestError):
    """The requests in flight hold as many bytes as they may."""

    status = 429
    grpc_code = "RESOURCE_EXHAUSTED"
    retry_after = 1


class DeadlineError(RequestError):
    """The request's deadline has passed."""

    status = 429
    grpc_code = "DEADLINE_EXCEEDED"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("the deadline passed before the answer was ready")


class StoppingError(RequestError):
    """The server is stopping and takes no new requests; another replica may."""

    status = 503
    grpc_code = "UNAVAILABLE"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("the server is stopping")


class LaneError(RequestError):
    """The lane that ran the request failed; the lane goes on with others."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"the inference failed: {type(cause).__name__}: {cause}")


class ChangeRefusedError(RequestError):
    """A model could not be loaded or unloaded; the version served before stays."""

    status = 409
    grpc_code = "FAILED_PRECONDITION"


class ClientGoneError(Exception):
    """The client closed its connection before the whole body had arrived."""
