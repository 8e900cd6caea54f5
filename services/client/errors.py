"""What can go wrong for a client, in words for whoever started it."""

from schemas import wire


class ClientError(Exception):
    """The text says what happened and, where there is something, what to do."""


class Unreachable(ClientError):
    """Nobody answers there, or no longer."""


class Refused(ClientError):
    """A REST call was answered with a problem."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class WrongUse(ClientError):
    """What was asked for does not make sense."""


class UnreadableVideo(ClientError):
    """A file that is no video, or has no frames."""


class FrameTooLarge(ClientError):
    """A frame above what the server takes."""


class StreamRefused(ClientError):
    """The server did not start the stream."""


class StreamClosed(ClientError):
    """The server closed the stream for good; trying again would not help."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


CLOSED_FOR_GOOD = {
    wire.CLOSE_NORMAL: "the server ended the stream",
    wire.CLOSE_POLICY: "the server refused this client: too many mistakes, or it did not read",
    1009: "a message was larger than the server takes",
    wire.CLOSE_TOKEN: "the stream's token is missing, wrong or expired; begin a new session",
    wire.CLOSE_OTHERS_SESSION: "the session belongs to someone else",
    wire.CLOSE_UNKNOWN_SESSION: "the server does not know this session",
    wire.CLOSE_REPLACED: "a newer connection took over this session",
    wire.CLOSE_ENDED: "the session has ended",
}


def closed_for_good(code: int, reason: str = "") -> StreamClosed | None:
    """The error that a close code stands for; None where coming back makes sense."""
    text = CLOSED_FOR_GOOD.get(code)
    if text is None:
        return None
    return StreamClosed(code, f"{text} ({reason})" if reason and reason != text else text)
