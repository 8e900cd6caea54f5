"""Kafka behind accounts and TLS: every client of ours gets in, and what is wrong is one line that says so."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from schemas.topics import Topic
from services.runtime.doctor import examine
from services.runtime.log import LogStartFailed
from services.runtime.log.connection import connection_of
from services.runtime.log.kafka import KafkaLog
from services.runtime.settings import Settings
from tests.support.kafka import kafka_node
from tests.support.log_reader import Reader, until
from tests.support.needs import absent
from tests.support.processes import free_port

USER, PASSWORD = "rapt", "correct-horse"
TOPIC = Topic("secured", "key", "runtime", None, b"", partitions=2, compacted=True)
PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:${{port}},CONTROLLER://127.0.0.1:${{controller_port}},\
ACCOUNT://127.0.0.1:{account},TLS://127.0.0.1:{tls},BOTH://127.0.0.1:{both},MUTUAL://127.0.0.1:{mutual}
advertised.listeners=PLAINTEXT://127.0.0.1:${{port}},\
ACCOUNT://127.0.0.1:{account},TLS://127.0.0.1:{tls},BOTH://127.0.0.1:{both},MUTUAL://127.0.0.1:{mutual}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,ACCOUNT:SASL_PLAINTEXT,\\
TLS:SSL,BOTH:SASL_SSL,MUTUAL:SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.account.plain.sasl.jaas.config={plain}
listener.name.both.plain.sasl.jaas.config={plain}
listener.name.account.scram-sha-512.sasl.jaas.config={scram}
listener.name.both.scram-sha-512.sasl.jaas.config={scram}
ssl.keystore.type=PKCS12
ssl.keystore.location={keystore}
ssl.keystore.password={password}
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={certificate}
"""
PLAIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class Secured:
    """One node; its listeners by name, the certificate that it shows, and its key."""

    ports: dict[str, int]
    certificate: Path
    key: Path

    def settings(self, listener: str, **settings: Any) -> Settings:
        return Settings(kafka_bootstrap_servers=f"127.0.0.1:{self.ports[listener]}", **settings)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if shutil.which("keytool") is None:
        absent("kafka", "keytool, a part of Java, is not installed")
    folder = tmp_path_factory.mktemp("secured")
    keystore, certificate = folder / "node.p12", folder / "node.pem"
    keytool = ["keytool", "-keystore", str(keystore), "-storepass", PASSWORD, "-alias", "node"]
    name = ["-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-ext", "bc=ca:true"]
    for command in (
        [*keytool, "-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12", *name],
        [*keytool, "-exportcert", "-rfc", "-file", str(certificate)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    key, *_ = load_key_and_certificates(keystore.read_bytes(), PASSWORD.encode())
    assert key is not None
    key_file = folder / "node.key"
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ports = {listener: free_port() for listener in ("account", "tls", "both", "mutual")}
    properties = folder / "secured.properties"
    files = {"keystore": keystore, "certificate": certificate}
    properties.write_text(PROPERTIES.format(**ports, **files, plain=PLAIN, scram=SCRAM, password=PASSWORD))
    account = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    with kafka_node(["--properties", str(properties), "--add-scram", account]):
        yield Secured(ports, certificate, key_file)


def log_of(settings: Settings) -> KafkaLog:
    connection = connection_of(settings)
    return KafkaLog(connection.bootstrap, [TOPIC], security=connection.security)


ACCOUNT = {"kafka_sasl_username": USER, "kafka_sasl_password": PASSWORD}
WAYS: list[tuple[str, str, dict[str, str]]] = [
    ("account", "SASL_PLAINTEXT", {**ACCOUNT, "kafka_sasl_mechanism": "PLAIN"}),
    ("account", "SASL_PLAINTEXT", ACCOUNT),
    ("tls", "SSL", {}),
    ("both", "SASL_SSL", ACCOUNT),
    ("mutual", "SSL", {}),
]


@pytest.mark.parametrize(("listener", "protocol", "more"), WAYS, ids=["PLAIN", "SCRAM", "TLS", "SCRAM, TLS", "mutual"])
async def test_every_client_gets_in(secured: Secured, listener: str, protocol: str, more: dict[str, str]) -> None:
    tls = {"kafka_ssl_cafile": secured.certificate} if protocol.endswith("SSL") else {}
    if listener == "mutual":
        tls |= {"kafka_ssl_certfile": secured.certificate, "kafka_ssl_keyfile": secured.key}
    log = log_of(secured.settings(listener, kafka_security_protocol=protocol, **more, **tls))
    await log.start()  # creates topics
    reader = Reader(log, [TOPIC], group=f"group-{listener}-{len(more)}")
    await reader.consumer.start()
    sent = await (await log.send(TOPIC, listener, protocol.encode()))
    await until(lambda: protocol.encode() in reader.values(listener), "it came back")
    await log.check()
    assert (await log.snapshot(TOPIC, sent.partition))[listener].value == protocol.encode()
    await reader.consumer.stop()
    await log.close()


WITH_ACCOUNT = {"kafka_security_protocol": "SASL_PLAINTEXT", **ACCOUNT}
STRANGER = {**WITH_ACCOUNT, "kafka_sasl_mechanism": "PLAIN", "kafka_sasl_username": "nobody"}
WRONG: list[tuple[str, dict[str, str], str]] = [
    ("account", {**WITH_ACCOUNT, "kafka_sasl_password": "no"}, "refuses the account 'rapt'"),
    ("account", STRANGER, "refuses the account 'nobody'"),
    ("account", {**WITH_ACCOUNT, "kafka_sasl_mechanism": "SCRAM-SHA-256"}, "KAFKA_SASL_MECHANISM"),
    ("tls", {"kafka_security_protocol": "SSL"}, "not trusted .*KAFKA_SSL_CAFILE"),
    ("account", {"kafka_security_protocol": "SSL"}, "KAFKA_SECURITY_PROTOCOL right"),
    ("account", {}, "KAFKA_SECURITY_PROTOCOL right"),
    ("tls", {}, "KAFKA_SECURITY_PROTOCOL right"),
]


@pytest.mark.parametrize(("listener", "settings", "said"), WRONG)
async def test_what_kafka_refuses_is_one_line(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, listener: str, settings: dict[str, str], said: str
) -> None:
    monkeypatch.setattr("services.runtime.log.topics.READY_WITHIN_S", 5.0)
    with pytest.raises(LogStartFailed, match=said) as failed:
        await log_of(secured.settings(listener, **settings)).start()
    assert "\n" not in str(failed.value)
    assert PASSWORD not in str(failed.value)


@pytest.mark.parametrize("password", [PASSWORD, "no"])
def test_the_doctor_says_whether_kafka_lets_us_in(secured: Secured, password: str) -> None:
    settings = secured.settings("account", **{**WITH_ACCOUNT, "kafka_sasl_password": password})
    found = [each for each in examine(settings, Path()) if each.what == "kafka"]
    assert found[0].ok, "the port is open"
    refused = [each.found for each in found if not each.ok]
    assert refused == [] if password == PASSWORD else "refuses the account" in refused[0]


def test_the_doctor_names_a_setting_that_cannot_be_meant() -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:9", kafka_security_protocol="SASL_SSL")
    (finding,) = [each for each in examine(settings, Path()) if each.what == "kafka"]
    assert not finding.ok
    assert finding.found.startswith("KAFKA_SASL_USERNAME: not set")


async def test_a_certificate_that_kafka_asks_for_and_does_not_get_is_told(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.log.topics.READY_WITHIN_S", 5.0)
    settings = secured.settings("mutual", kafka_security_protocol="SSL", kafka_ssl_cafile=secured.certificate)
    with pytest.raises(LogStartFailed, match="KAFKA_SSL_CERTFILE"):
        await log_of(settings).start()
