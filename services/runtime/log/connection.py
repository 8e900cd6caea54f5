"""How every client of ours reaches Kafka: the address, and what its security asks for. The one place that knows."""

import ssl
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from services.runtime.settings import Settings, WrongSetting

PROBE_WITHIN_MS = 5_000
_ACCOUNTS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


@dataclass(frozen=True, slots=True)
class Connection:
    """`security` None: plain text and no account."""

    bootstrap: str
    security: BaseSecurity | None = field(default=None, repr=False)

    @property
    def options(self) -> dict[str, Any]:
        """What aiokafka's clients take."""
        return {"bootstrap_servers": self.bootstrap, **parse_security(self.security)}

    async def refusal(self) -> str | None:
        """Why Kafka refuses this connection, in one line, where trying again is no use; None: it may just be away."""
        options = self.options
        for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
            try:
                connection = await create_conn(host, port, request_timeout_ms=PROBE_WITHIN_MS, **options)
                connection.close()
                return None
            except (KafkaError, OSError, TimeoutError) as error:
                if reason := self._reason(error):
                    return f"Kafka at {host}:{port} {reason}"
        return None

    def _reason(self, error: BaseException) -> str | None:
        match error:
            case ssl.SSLCertVerificationError():
                return f"shows a certificate that is not trusted ({error.verify_message}); is KAFKA_SSL_CAFILE right?"
            case ssl.SSLError() if error.reason == "WRONG_VERSION_NUMBER":
                return "does not speak TLS; is KAFKA_SECURITY_PROTOCOL right?"
            case KafkaError(__cause__=ssl.SSLError() as alert) if "CERTIFICATE" in (alert.reason or ""):
                return "does not take the certificate it got, or got none; is KAFKA_SSL_CERTFILE right?"
            case SaslAuthenticationFailed():
                user = getattr(self.security, "username", "")
                return f"refuses the account {user!r}; are KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD right?"
            case UnsupportedSaslMechanismError():
                return "does not take this KAFKA_SASL_MECHANISM; which ones it takes is its sasl.enabled.mechanisms"
            case IllegalSaslStateError():
                return "asks for no account; is KAFKA_SECURITY_PROTOCOL right?"
        return None


def connection_of(settings: Settings) -> Connection:
    """The connection that the settings describe, with its files read. Raises `WrongSetting`."""
    if settings.kafka_bootstrap_servers is None:
        raise WrongSetting(
            "KAFKA_BOOTSTRAP_SERVERS: not set; wanted host:port of a broker. `rapt up` runs everything without one"
        )
    return Connection(settings.kafka_bootstrap_servers, _security(settings))


def _security(settings: Settings) -> BaseSecurity | None:
    protocol = settings.kafka_security_protocol
    context = _tls(settings) if protocol.endswith("SSL") else None
    if context is None:
        for name in ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile"):
            if getattr(settings, name) is not None:
                raise WrongSetting(f"{name.upper()}: set, but KAFKA_SECURITY_PROTOCOL={protocol}; wanted …SSL with it")
    account = settings.kafka_sasl_username, settings.kafka_sasl_password
    if not protocol.startswith("SASL_"):
        for name, value in zip(("USERNAME", "PASSWORD"), account, strict=True):
            if value is not None:
                raise WrongSetting(f"KAFKA_SASL_{name}: set, but KAFKA_SECURITY_PROTOCOL={protocol}; wanted SASL_…")
        return BaseSecurity(context) if context else None
    username, password = account
    if username is None or password is None:
        missing = "USERNAME" if username is None else "PASSWORD"
        raise WrongSetting(f"KAFKA_SASL_{missing}: not set; wanted with KAFKA_SECURITY_PROTOCOL={protocol}")
    return _ACCOUNTS[settings.kafka_sasl_mechanism](username, password.get_secret_value(), context)


def _tls(settings: Settings) -> ssl.SSLContext:
    cafile, certfile, keyfile = settings.kafka_ssl_cafile, settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile
    if keyfile is not None and certfile is None:
        raise WrongSetting(f"KAFKA_SSL_KEYFILE={keyfile}: wanted KAFKA_SSL_CERTFILE too, whose key it is")
    try:
        context = ssl.create_default_context(cafile=cafile)
    except OSError as error:  # an SSLError is one
        raise WrongSetting(f"KAFKA_SSL_CAFILE={cafile}: {error}; wanted certificates in PEM format") from None
    if certfile is not None:
        try:
            context.load_cert_chain(certfile, keyfile, password="")
        except OSError as error:
            named = f"KAFKA_SSL_CERTFILE={certfile}" + (f", KAFKA_SSL_KEYFILE={keyfile}" if keyfile else "")
            raise WrongSetting(f"{named}: {error}; wanted a certificate and its key, unlocked, as PEM") from None
    return context
