"""What goes wrong while loading, one class a check, and while answering, one class an outcome."""

from __future__ import annotations

from typing import ClassVar

from storage_init.base.errors import WarmstartError


class NoVariantError(WarmstartError):
    """No variant of the package can run on this host."""


class SelfTestError(WarmstartError):
    """The model does not answer as it did when it was prepared; the message says by how much."""


class WarmupError(WarmstartError):
    """An inference failed before the first request was let in."""


class UnsupportedModelError(WarmstartError):
    """A folder holds nothing this predictor can serve."""


class RequestError(WarmstartError):
    """A request that gets no answer; ``status`` and ``grpc_code`` are what the client is told.

    ``retry_after``: seconds after which it is worth asking again, None where it is not.
    """

    status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    retry_after: int | None = None


class InvalidRequestError(RequestError):
    """The client can mend it; the message says how."""

    status = 400
    grpc_code = "INVALID_ARGUMENT"


class UnknownModelError(RequestError):
    """There is no model, or no version, of that name here."""

    status = 404
    grpc_code = "NOT_FOUND"

    def __init__(self, name: str, version: str | None = None) -> None:
        what = f"{name} has no version {version}" if version else f"there is no model {name}"
        super().__init__(f"{what} here")


class UnknownPathError(RequestError):
    """There is nothing at this path."""

    status = 404
    grpc_code = "UNIMPLEMENTED"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is nothing at {path}")


class WrongMethodError(RequestError):
    """The path has other methods, which the message names."""

    status = 405
    grpc_code = "UNIMPLEMENTED"


class NotReadyError(RequestError):
    """The model is not loaded yet, or not any more."""

    status = 503
    grpc_code = "UNAVAILABLE"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"model {name} is not ready")


class TooLargeError(RequestError):
    """More than one request may bring; the message names the limit and its setting."""

    status = 413
    grpc_code = "INVALID_ARGUMENT"


class OverloadedError(RequestError):
    """The queue is full: refused at once, before any work was done for it."""

    status = 503
    grpc_code = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PendingBytesError(RequestError):
    """Requests under way hold as many bytes as they may; once some are answered, there is room."""

    status = 503
    grpc_code = "RESOURCE_EXHAUSTED"
    retry_after = 1


class DeadlineError(RequestError):
    """The time that the client gives its request is over."""

    status = 503
    grpc_code = "DEADLINE_EXCEEDED"
    retry_after = 1


class StoppingError(RequestError):
    """The server is about to end and takes nothing new; another one may."""

    status = 503
    grpc_code = "UNAVAILABLE"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("the server is stopping")


class ChangeRefusedError(RequestError):
    """A model was not loaded or unloaded as asked; what was served before still is."""

    status = 409
    grpc_code = "FAILED_PRECONDITION"


class ClientGoneError(Exception):
    """The connection was closed before the whole body had come: there is nobody to answer."""
