"""Configuration from the environment. A wrong value stops the start with one line that names it and what it wants."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class WrongSetting(Exception):
    """One line: the variable, its value, what is wanted."""


class Settings(BaseSettings):
    """Every setting is the environment variable of the same name in capitals; `docs/configuration.md` lists them."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    rapt_data: Path = Path(".rapt")
    instance_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,64}$")
    kafka_bootstrap_servers: str | None = None
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    mongo_uri: SecretStr | None = None
    db_name: str = Field(default="rapt", min_length=1)
    firebase_database_url: str | None = None
    firebase_credentials_path: Path | None = None
    firebase_database_emulator_host: str | None = None
    firebase_unknown_lectures: Literal["create", "refuse"] = "create"
    video_storage_path: Path | None = None
    recording_default_resolution: str = Field(default="source", pattern=r"^(source|[1-9]\d{0,3}x[1-9]\d{0,3})$")
    recording_default_codec: Literal["h264", "avc1", "mp4v"] = "h264"
    engagement_dev_mode: bool = False
    jwt_secret: SecretStr | None = Field(default=None, min_length=32)
    jwt_jwks_url: str | None = None
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    predictor_model: Path | None = None
    emotion_inference: Literal["on", "off"] = "on"
    pose_hz: float = Field(default=2.0, ge=0, le=30)
    stale_after_ms: int = Field(default=2_000, ge=100)
    catch_up_s: float = Field(default=60.0, ge=0)
    session_idle_timeout_s: float = Field(default=120.0, gt=0)
    graceful_timeout_s: float = Field(default=10.0, gt=0)
    demo_password: SecretStr | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def embedded(self) -> bool:
        """One process over a local log, as opposed to services over Kafka."""
        return self.kafka_bootstrap_servers is None

    @property
    def recordings_dir(self) -> Path:
        return self.video_storage_path or self.rapt_data / "recordings"


def load_settings(**overrides: object) -> Settings:
    """Read the environment; `overrides` (the command line's options) win. Raises `WrongSetting`."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]).upper()
        given = "" if "secret" in name.lower() or "password" in name.lower() else f"={first['input']!r}"
        raise WrongSetting(f"{name}{given}: {first['msg']}") from None
