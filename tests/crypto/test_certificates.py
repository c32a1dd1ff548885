"""A hub's certificates: what they say, and that a TLS client pinned to one accepts no other."""

import datetime
import ssl

import pytest
from cryptography import x509

from fedguide.crypto.certificates import (
    Issued,
    fingerprint,
    issue_server,
    make_authority,
    serves,
    to_der,
    to_pem,
)
from fedguide.errors import ConfigError

NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
HOSTS = ["hub.example", "127.0.0.1", "::1"]


@pytest.fixture(scope="module")
def authority():
    return make_authority("market", NOW)


def test_the_authority_signs_server_certificates_and_nothing_else(authority):
    made = x509.load_pem_x509_certificate(authority.certificate)
    constraints = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert len(to_der(authority.certificate)) < 400  # it travels in every invitation


def test_a_server_certificate_is_the_authoritys_and_for_its_hosts(authority):
    server = issue_server(authority, HOSTS, NOW)
    made = x509.load_pem_x509_certificate(server.certificate)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.not_valid_after_utc - NOW == datetime.timedelta(days=397)
    assert made.not_valid_before_utc < NOW
    assert serves(server.certificate, HOSTS, NOW)
    assert not serves(server.certificate, ["other.example"], NOW)


def test_it_is_renewed_in_its_last_month(authority):
    server = issue_server(authority, HOSTS, NOW)
    assert serves(server.certificate, HOSTS, NOW + datetime.timedelta(days=366))
    assert not serves(server.certificate, HOSTS, NOW + datetime.timedelta(days=367))
    assert not serves(b"junk", HOSTS, NOW)
    assert not serves(authority.certificate, HOSTS, NOW)


def test_python_and_openssl_accept_the_pair(authority, tmp_path):
    server = issue_server(authority, HOSTS, NOW)
    (tmp_path / "c.pem").write_bytes(server.certificate)
    (tmp_path / "k.pem").write_bytes(server.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")


def test_short_form_and_back(authority):
    assert to_pem(to_der(authority.certificate)) == authority.certificate
    shown = fingerprint(authority.certificate)
    assert [len(part) for part in shown.split()] == [8] * 8


def test_the_key_is_in_no_repr(authority):
    assert authority.key.decode().splitlines()[1] not in repr(authority)


def test_damaged_input_is_refused(authority):
    with pytest.raises(ConfigError, match="at least one host"):
        issue_server(authority, [], NOW)
    with pytest.raises(ConfigError, match="certificate is damaged"):
        issue_server(Issued(b"junk", authority.key), HOSTS, NOW)
    with pytest.raises(ConfigError, match="key is damaged"):
        issue_server(Issued(authority.certificate, b"junk"), HOSTS, NOW)
    with pytest.raises(ConfigError, match="damaged"):
        to_pem(b"junk")
    with pytest.raises(ConfigError, match="hub must be plain ASCII"):
        issue_server(authority, ["höb.example"], NOW)
