import uuid
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame
from exchanges.text_ids import text_id


@given(st.integers(1, 2**63 - 1))
def test_digits_are_their_number(number: int) -> None:
    assert text_id(str(number)) == number


@given(st.uuids())
def test_other_text_is_its_digest_with_the_top_bit_set(of: uuid.UUID) -> None:
    digest = blake2b(str(of).encode(), digest_size=8).digest()
    expected = int.from_bytes(bytes([digest[0] | 0x80]) + digest[1:], "big", signed=True)
    assert text_id(str(of)) == expected
    assert -(2**63) <= text_id(str(of)) < 0


def test_the_numbers_never_change() -> None:
    assert text_id("20f43950-d8dd-5b31-9112-a178eb6023af") == -2349697982512692747


@pytest.mark.parametrize("text", ["", "0", "007", "9223372036854775808", "x" * 41, "a\nb", "é", "٣"])
def test_no_id_is_refused(text: str) -> None:
    with pytest.raises(MalformedFrame):
        text_id(text)
