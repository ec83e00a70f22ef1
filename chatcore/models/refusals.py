"""Refusals of the endpoint, in the form of OpenAI's errors.

Refused
├── BadRequest              400
├── NotAllowed              401
├── NoSuchModel             404
├── TooBusy                 429  try again
├── UnknownTask             501
├── CapabilityUnavailable   501
└── StillLoading            503  try again
"""

from typing import Any, ClassVar


class Refused(Exception):
    status: ClassVar[int]
    type: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str]

    def __init__(self, message: str, *, param: str | None = None):
        self.message, self.param = message, param
        super().__init__(message)

    def payload(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class BadRequest(Refused):
    status, code = 400, "bad_request"


class NotAllowed(Refused):
    status, code = 401, "invalid_api_key"


class NoSuchModel(Refused):
    status, code = 404, "model_not_found"


class TooBusy(Refused):
    status, type, code = 429, "rate_limit_error", "too_busy"


class UnknownTask(Refused):
    status, code = 501, "unknown_task"


class CapabilityUnavailable(Refused):
    status, code = 501, "capability_unavailable"


class StillLoading(Refused):
    status, type, code = 503, "server_error", "still_loading"
