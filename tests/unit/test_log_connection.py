"""What the settings of Kafka's security make of a connection, and what is said of those that cannot be meant."""

import re
import ssl
from pathlib import Path

import pytest
from aiokafka.errors import IllegalSaslStateError
from pydantic import SecretStr

from services.runtime.log.connection import Connection, connection_of
from services.runtime.settings import Settings, WrongSetting

SERVER = {"kafka_bootstrap_servers": "one:9092,two:9092"}
USER: dict[str, object] = {"kafka_sasl_username": "rapt"}
PASSWORD: dict[str, object] = {"kafka_sasl_password": SecretStr("secret")}


def options(**settings: object) -> dict[str, object]:
    return connection_of(Settings(**{**SERVER, **settings})).options  # type: ignore[arg-type]


def test_without_security_only_the_address_is_passed_on() -> None:
    assert options() == {"bootstrap_servers": "one:9092,two:9092"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_an_account_is_passed_on(mechanism: str) -> None:
    found = options(kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_mechanism=mechanism, **USER, **PASSWORD)
    assert found["security_protocol"] == "SASL_PLAINTEXT"
    assert found["sasl_mechanism"] == mechanism
    assert (found["sasl_plain_username"], found["sasl_plain_password"]) == ("rapt", "secret")


def test_tls_looks_at_the_certificate_and_the_name() -> None:
    context = options(kafka_security_protocol="SASL_SSL", **USER, **PASSWORD)["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_password_is_not_shown() -> None:
    connection = connection_of(Settings(kafka_security_protocol="SASL_SSL", **SERVER, **USER, **PASSWORD))  # type: ignore[arg-type]
    assert "secret" not in repr(connection)


WRONG: list[tuple[dict[str, object], str]] = [
    ({"kafka_security_protocol": "SASL_SSL", **USER}, "KAFKA_SASL_PASSWORD: not set; wanted with KAFKA_SEC"),
    ({"kafka_security_protocol": "SASL_SSL", **PASSWORD}, "KAFKA_SASL_USERNAME: not set; wanted with KAFKA_SEC"),
    (USER, "KAFKA_SASL_USERNAME: set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT; wanted SASL_"),
    ({"kafka_security_protocol": "SSL", **PASSWORD}, "KAFKA_SASL_PASSWORD: set, but KAFKA_SECURITY_PROTOCOL=SSL"),
    ({"kafka_ssl_cafile": Path("ca.pem")}, "KAFKA_SSL_CAFILE: set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT"),
    ({"kafka_security_protocol": "SSL", "kafka_ssl_keyfile": Path("k")}, "KAFKA_SSL_KEYFILE=k: wanted KAFKA_SSL_CERT"),
    ({"kafka_security_protocol": "SSL", "kafka_ssl_cafile": Path("nowhere")}, "KAFKA_SSL_CAFILE=nowhere: .*No such"),
    ({"kafka_security_protocol": "SSL", "kafka_ssl_cafile": Path(__file__)}, "KAFKA_SSL_CAFILE=.*wanted certificates"),
    ({"kafka_security_protocol": "SSL", "kafka_ssl_certfile": Path(__file__)}, "KAFKA_SSL_CERTFILE=.*and its key"),
    ({"kafka_bootstrap_servers": None}, "KAFKA_BOOTSTRAP_SERVERS: not set"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_what_cannot_be_meant_is_one_line(settings: dict[str, object], said: str) -> None:
    with pytest.raises(WrongSetting) as wrong:
        options(**settings)
    assert re.match(said, str(wrong.value)), wrong.value
    assert "\n" not in str(wrong.value)
    assert "secret" not in str(wrong.value)


def test_an_account_where_none_is_asked_for_is_told() -> None:
    assert "KAFKA_SECURITY_PROTOCOL" in (Connection("one:9092")._reason(IllegalSaslStateError()) or "")
