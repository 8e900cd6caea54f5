"""The secrets that `rapt up` makes for itself on its first start and keeps in the data directory (mode 0600)."""

import contextlib
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from services.runtime.lifecycle import StartFailed
from services.runtime.settings import Settings

JWT_SECRET_FILE = "jwt-secret"  # noqa: S105
DEMO_PASSWORD_FILE = "demo-password"  # noqa: S105
# Without the signs that are easily mistaken for another: it is read off a terminal and typed.
_PASSWORD_SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Secrets:
    """`demo_password_is_new`: it was made by this call, so whoever started Rapt has not seen it yet."""

    jwt_secret: str = field(repr=False)
    demo_password: str = field(repr=False)
    demo_password_is_new: bool

    @classmethod
    def load(cls, data: Path, settings: Settings) -> Self:
        """`JWT_SECRET` and `DEMO_PASSWORD` win; else the files in `data`, made where they are missing.

        Raises `StartFailed` when they cannot be read or written.
        """
        jwt_secret, demo_password, is_new = settings.jwt_secret, settings.demo_password, False
        secret = jwt_secret.get_secret_value() if jwt_secret else kept(data / JWT_SECRET_FILE, secrets.token_hex(32))[0]
        if demo_password:
            password = demo_password.get_secret_value()
        else:
            password, is_new = kept(data / DEMO_PASSWORD_FILE, _password())
        return cls(secret, password, is_new)


def kept(path: Path, proposal: str) -> tuple[str, bool]:
    """The text of the file; made with `proposal` where there is none. Returns it and whether it was made now.

    Processes that start at the same time agree on one. Raises `StartFailed`.
    """
    try:
        made = not path.exists() and _publish(path, proposal)
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise StartFailed(f"cannot keep a secret in {path}: {reason}; check the data directory's permissions") from None
    if not text:
        raise StartFailed(f"{path} is empty; delete it, and a new one is made")
    return text, made


def _publish(path: Path, text: str) -> bool:
    """Put the file in place whole; False when another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename, fails when the file is there already
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return True


def _password() -> str:
    """Twelve signs, 59 bits."""
    return "-".join("".join(secrets.choice(_PASSWORD_SIGNS) for _ in range(4)) for _ in range(3))
