"""Rows: what `typing.NamedTuple` promises, of the base class that stands in for it where a program runs."""

from __future__ import annotations

import pickle

import pytest

from lattice.core.record import NamedTuple


class Place(NamedTuple):
    street: str
    number: int

    @property
    def sign(self) -> str:
        return f"{self.number} {self.street}"


def test_a_row_is_a_tuple_with_names() -> None:
    place = Place("Elm", 4)
    assert ("Elm", 4) == place
    assert hash(("Elm", 4)) == hash(place)
    assert ("Elm", 4, "4 Elm") == (place.street, place.number, place.sign)
    assert ("street", "number") == Place._fields
    assert "Place(street='Elm', number=4)" == repr(place)


def test_names_may_be_given_in_any_order() -> None:
    assert Place("Elm", 4) == Place(number=4, street="Elm") == Place("Elm", number=4) == Place._make(["Elm", 4])


def test_a_row_is_changed_by_making_another() -> None:
    assert Place("Elm", 5) == Place("Elm", 4)._replace(number=5)
    assert {"street": "Elm", "number": 4} == Place("Elm", 4)._asdict()
    with pytest.raises(AttributeError):
        setattr(Place("Elm", 4), "number", 5)  # noqa: B010  # mypy would refuse the plain spelling


@pytest.mark.parametrize(
    ("values", "named"),
    [(("Elm",), {}), (("Elm", 4, 5), {}), (("Elm", 4), {"number": 5}), (("Elm", 4), {"town": "Ulm"}), ((), {})],
)
def test_a_field_that_is_missing_or_given_twice_or_unknown_is_an_error(
    values: tuple[object, ...], named: dict[str, object]
) -> None:
    with pytest.raises(TypeError, match="street"):
        Place(*values, **named)  # type: ignore[arg-type]  # what is off is the point


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(TypeError):
        Place._make(["Elm"])
    with pytest.raises(TypeError):
        Place("Elm", 4)._replace(town="Ulm")  # type: ignore[call-arg]  # as above


def test_a_row_goes_through_pickle_as_parts_of_long_work_do() -> None:
    place = pickle.loads(pickle.dumps(Place("Elm", 4)))  # noqa: S301  # made in the same line
    assert (Place, ("Elm", 4), 4) == (type(place), place, place.number)
