"""The JSON that stands in files: the same text as the standard library's, for anything that JSON can say."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lattice.core.pretty import document, pretty

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@given(st.dictionaries(st.text(), values, max_size=6))
def test_it_is_what_the_standard_library_writes(shape: dict[str, Any]) -> None:
    assert json.dumps(shape, sort_keys=True, indent=2) == pretty(shape)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), values, min_size=1, max_size=6))
def test_so_is_a_whole_file(shape: dict[str, Any]) -> None:
    assert f"{json.dumps(shape, sort_keys=True, indent=2)}\n".encode() == document(shape)
