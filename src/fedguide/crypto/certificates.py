"""Certificates of a hub: an authority of its own, and the server certificate it issues.

Threat model: the network may answer in the hub's name; a party that has the authority's certificate
from its invitation ("pinned") accepts only servers whose certificate that authority issued, and
trusts no public authority. Whoever has the authority's key can stand in for the hub towards
every party, so the key stays on the hub's machine (0600) and signs nothing but server certificates
(RFC 5280: path length 0). Keys are Ed25519 (RFC 8410), which makes a pinned certificate some 300
bytes long. What leaks: the hub's names and when its certificates were made.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedguide.errors import ConfigError

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
"""Longest life that TLS clients of today accept in a server certificate."""

RENEW_DAYS = 30
"""A server certificate with less life left than this is issued anew."""

_EARLY = datetime.timedelta(minutes=10)  # clocks of parties may lag behind the hub's


@dataclass(frozen=True)
class Issued:
    """A certificate and its secret key, both as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def make_authority(name: str, now: datetime.datetime) -> Issued:
    """A new authority that can issue server certificates and nothing else."""
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"fedguide {name}"[:64])])
    usage = _usage(signs_certificates=True)
    builder = (
        _builder(subject, subject, now, AUTHORITY_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _issued(builder.sign(key, None), key)


def issue_server(authority: Issued, hosts: Sequence[str], now: datetime.datetime) -> Issued:
    """A server certificate for these host names and IP addresses.

    Raises:
        ConfigError: no host is named or one is not ASCII, or the authority's PEM is damaged.
    """
    if not hosts:
        raise ConfigError("a server certificate needs at least one host, got none")
    issuer, issuer_key = _authority(authority)
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    builder = (
        _builder(subject, issuer.subject, now, SERVER_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    return _issued(builder.sign(issuer_key, None), key)


def serves(certificate: bytes, hosts: Sequence[str], now: datetime.datetime) -> bool:
    """Is this server certificate for all of these hosts, and has it some life left?"""
    try:
        made = x509.load_pem_x509_certificate(certificate)
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    fresh = made.not_valid_after_utc - now > datetime.timedelta(days=RENEW_DAYS)
    return fresh and {_name(host) for host in hosts} <= set(names)


def to_der(certificate: bytes) -> bytes:
    """The certificate in its short form, for an invitation.

    Raises:
        ConfigError: the PEM is damaged.
    """
    return _load(certificate).public_bytes(serialization.Encoding.DER)


def to_pem(der: bytes) -> bytes:
    """The certificate as TLS libraries read it.

    Raises:
        ConfigError: the bytes are no certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        raise ConfigError("the pinned certificate is damaged") from None
    return certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate in groups that two people can read to each other.

    Raises:
        ConfigError: the PEM is damaged.
    """
    digest = _load(certificate).fingerprint(hashes.SHA256()).hex()
    return " ".join(digest[i : i + 8] for i in range(0, len(digest), 8))


def _builder(
    subject: x509.Name, issuer: x509.Name, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issued(certificate: x509.Certificate, key: Ed25519PrivateKey) -> Issued:
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _authority(authority: Issued) -> tuple[x509.Certificate, Ed25519PrivateKey]:
    certificate = _load(authority.certificate)
    try:
        key = serialization.load_pem_private_key(authority.key, password=None)
    except ValueError:
        # The parser's own words may quote the key, so they are not chained.
        raise ConfigError("the authority's key is damaged") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("the authority's key must be an Ed25519 key, got another kind")
    return certificate, key


def _load(certificate: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(certificate)
    except ValueError:
        raise ConfigError("the certificate is damaged") from None


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not host.isascii():
            raise ConfigError(f"a host of the hub must be plain ASCII, got {host!r}") from None
        return x509.DNSName(host)
