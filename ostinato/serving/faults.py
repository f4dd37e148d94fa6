"""Errors with an HTTP status. The body of every error is {"error": "…"}."""

from collections.abc import Mapping, Sequence

from ostinato.errors import ConfigError, DataError, OstinatoError

KINDS = {  # by which /metrics counts failures
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    422: "invalid",
    426: "upgrade_required",
    429: "queue_full",
    500: "internal",
    503: "not_ready",
    504: "timeout",
}


class ServiceError(OstinatoError):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: what was wrong, what was expected, what to do.
        headers: further ones of the response.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def refusal_of(error: OstinatoError) -> ServiceError:
    """The refusal for an error of the library: input that the model cannot use is 422, all else is ours."""
    if isinstance(error, ServiceError):
        return error
    return ServiceError(422 if isinstance(error, DataError | ConfigError) else 500, str(error))


def refuse_all(faults: Sequence[str]) -> None:
    """Refuse a request with all of its faults, one per line; does nothing if there are none.

    Raises:
        ServiceError: 422.
    """
    if faults:
        raise ServiceError(422, "\n".join(faults))
