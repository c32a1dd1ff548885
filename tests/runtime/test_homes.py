"""Folders of hub, driver and party: private, written whole, refused where they do not fit."""

import datetime

import pytest
from cryptography import x509

from fedguide.errors import ConfigError, DataError, NotFoundError
from fedguide.runtime import homes
from fedguide.runtime.homes import Federation, Membership

NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
FEDERATION = Federation("market", "https://127.0.0.1:8443", ("127.0.0.1", "localhost"))
MEMBER = Membership("market", "shop-a", "https://127.0.0.1:8443", "PEM", "5a")


def mode(path):
    return path.stat().st_mode & 0o777


def test_an_identity_is_made_once_and_kept_for_life(tmp_path):
    first = homes.identity(tmp_path, None)
    assert homes.identity(tmp_path, None).public == first.public
    assert mode(tmp_path / "keys" / "identity.pem") == 0o600


def test_an_identity_with_a_passphrase_needs_it(tmp_path):
    first = homes.identity(tmp_path, "correct horse")
    assert homes.identity(tmp_path, "correct horse").public == first.public
    for wrong in (None, "wrong"):
        with pytest.raises(ConfigError):
            homes.identity(tmp_path, wrong)


def test_a_federation_is_created_once(tmp_path):
    authority = homes.create_federation(tmp_path, FEDERATION, NOW)
    assert homes.federation_of(tmp_path) == FEDERATION
    assert homes.authority_of(tmp_path) == authority
    for path in (tmp_path / "hub").iterdir():
        assert mode(path) == 0o600
    assert mode(tmp_path / "hub") == 0o700
    with pytest.raises(ConfigError, match="federation already"):
        homes.create_federation(tmp_path, FEDERATION, NOW)


def test_the_servers_certificate_is_made_and_renewed(tmp_path):
    homes.create_federation(tmp_path, FEDERATION, NOW)

    def serial(hosts, days):
        certificate, key = homes.server_files(tmp_path, hosts, NOW + datetime.timedelta(days=days))
        assert mode(key) == 0o600
        return x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number

    first = serial(["127.0.0.1"], 0)
    assert serial(["127.0.0.1"], 300) == first
    assert serial(["hub.example"], 0) != first
    second = serial(["hub.example"], 0)
    assert serial(["hub.example"], 390) != second


def test_a_home_is_one_party_of_one_federation(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        homes.membership_of(tmp_path)
    assert caught.value.hint == "fedguide join INVITE"
    homes.save_membership(tmp_path, MEMBER)
    homes.save_membership(tmp_path, MEMBER)
    assert homes.membership_of(tmp_path) == MEMBER
    with pytest.raises(ConfigError, match="shop-a of market already"):
        homes.save_membership(tmp_path, Membership("other", "shop-a", "https://h:1", "PEM", "5a"))
    homes.forget_membership(tmp_path)
    with pytest.raises(NotFoundError):
        homes.membership_of(tmp_path)


@pytest.mark.parametrize("junk", ["", "[]", "{}", '{"party": 1}', "\x00"])
def test_damaged_files_are_named(tmp_path, junk):
    for folder, name, read in (
        ("party", "membership.json", homes.membership_of),
        ("hub", "federation.json", homes.federation_of),
    ):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(junk)
        with pytest.raises(DataError, match="damaged"):
            read(tmp_path)


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path):
    path = tmp_path / "lock"
    assert not homes.is_running(path)
    with homes.only_one(path, "a party"):
        assert homes.is_running(path)
        with (
            pytest.raises(ConfigError, match="a party is running already"),
            homes.only_one(path, "a party"),
        ):
            pass
    assert not homes.is_running(path)
