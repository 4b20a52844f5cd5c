import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from core.errors import UserError
from storage.ledger.address import Address

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(TEXT, TEXT, TEXT)
def test_conninfo_survives_every_character(user, password, database):
    address = Address("127.0.0.1", 5432, user, SecretStr(password))
    read = psycopg.conninfo.conninfo_to_dict(address.conninfo(database))
    assert (read["user"], read["password"], read["dbname"]) == (user, password, database)


def test_a_url_is_read_with_its_options():
    address = Address.from_url(SecretStr("postgresql://me:p%40ss@db.example:6432/trade%20s?sslmode=require"))
    assert (address.host, address.port, address.user) == ("db.example", 6432, "me")
    assert address.password.get_secret_value() == "p@ss"
    assert (address.ledger_db, address.lake_db) == ("trade s", "trade s_lake")
    assert psycopg.conninfo.conninfo_to_dict(address.conninfo("x"))["sslmode"] == "require"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@host/db",
        "postgresql://me:hunter2@host",
        "postgresql://host/db?password=hunter2",
        "postgresql://me:hunter2@host:port/db",
        "postgresql://me:hunter2@[host/db",
        "postgresql://me:hunter2@host/db?x",
        "hunter2",
    ],
)
def test_an_unreadable_url_is_refused_without_showing_it(url):
    with pytest.raises(UserError, match=r"ledger\.url") as caught:
        Address.from_url(SecretStr(url))
    chain = [caught.value, caught.value.__cause__]
    assert "hunter2" not in repr(chain)


def test_no_representation_holds_the_password():
    address = Address("127.0.0.1", 1, "me", SecretStr("hunter2"))
    assert "hunter2" not in f"{address} {address!r} {[address]}"
