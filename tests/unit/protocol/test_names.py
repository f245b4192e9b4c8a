from __future__ import annotations

import re

import pytest

from smartcover.protocol import expand_name, has_number, is_id, key_fault, new_id

JOB = "j" + "0" * 32


def expand(pattern: str, **changed: str | int | None) -> str:
    values: dict[str, str | int | None] = {
        "number": 2,
        "ext": "jpg",
        "job_id": JOB,
        "run_id": "i1",
        "input_key": "in/day 1/clip.final.mp4",
        "batch_id": "b1",
    }
    return expand_name(pattern, **(values | changed))  # type: ignore[arg-type]


@pytest.mark.documented
@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("out/c-${number}.jpg", "out/c-2.jpg"),
        ("out/c-${Number}.jpg", "out/c-2.jpg"),
        ("out/c-${NUMBER}.${ext}", "out/c-2.jpg"),
        ("${Ext}/${jobid}", f"jpg/{JOB}"),
        ("${Jobid}-${RunId}-${InventoryTriggerJobId}", f"{JOB}-i1-b1"),
        ("${InputName}|${InputNameAndExt}|${InputPath}", "clip.final|clip.final.mp4|in/day 1"),
        ("${InputPath}/${InputName}-${number}.jpg", "in/day 1/clip.final-2.jpg"),
    ],
)
def test_placeholders_are_filled_in_whatever_their_case(pattern: str, name: str) -> None:
    assert expand(pattern) == name


@pytest.mark.parametrize("pattern", ["{Ext}", "$number", "${Time}", "${ number }", "${}", "$${", "${number"])
def test_what_is_no_placeholder_of_ours_stays(pattern: str) -> None:
    assert expand(pattern) == pattern


def test_a_placeholder_without_a_value_stays() -> None:
    assert expand("${RunId}-${InputName}", run_id=None, input_key=None) == "${RunId}-${InputName}"
    assert expand("${number}", number=None) == "${number}"


def test_a_value_that_looks_like_a_placeholder_is_not_expanded_again() -> None:
    assert expand("${InputName}", input_key="${number}.mp4") == "${number}"


@pytest.mark.ours
def test_an_input_path_adds_no_slashes_of_its_own() -> None:
    # The slashes of InputPath are documented nowhere.
    assert expand("${InputPath}/a.jpg", input_key="clip.mp4") == "a.jpg"
    assert expand("x/${InputPath}/a.jpg", input_key="clip.mp4") == "x/a.jpg"
    assert expand("/${InputPath}/a.jpg", input_key="/in/clip.mp4") == "in/a.jpg"


@pytest.mark.observed
@pytest.mark.parametrize("slashes", ["/", "//"])
def test_the_name_of_a_cover_never_starts_with_a_slash(slashes: str) -> None:
    # The Python and Node SDKs leave it out of the keys they fetch, so that a cover with one could not be had.
    assert expand(f"{slashes}out//c-${{number}}.jpg") == "out//c-2.jpg"
    assert expand("a//b-${number}") == "a//b-2"


def test_a_name_that_starts_with_its_only_dot_has_no_extension() -> None:
    assert expand("${InputName}", input_key="in/.hidden") == ".hidden"
    assert expand("${InputName}", input_key="in/plain") == "plain"


@pytest.mark.parametrize(
    ("pattern", "found"), [("a-${number}", True), ("a-${Number}", True), ("a-{number}", False), ("a-$number", False)]
)
def test_the_number_placeholder_is_found(pattern: str, found: bool) -> None:
    assert has_number(pattern) is found


def test_ids_are_a_letter_and_32_hex_digits() -> None:
    assert new_id("j", "0123456789abcdef" * 2) == "j" + "0123456789abcdef" * 2
    assert is_id("j" + "a" * 32, "j")
    for text, letter in [("j" + "a" * 32, "p"), ("j" + "A" * 32, "j"), ("j" + "a" * 31, "j"), ("", "j"), ("", "")]:
        assert not is_id(text, letter)
    for letter, digits in [("x", "a" * 32), ("j", "a" * 31), ("j", "A" * 32), ("", "a" * 32)]:
        with pytest.raises(ValueError, match="no id"):
            new_id(letter, digits)


@pytest.mark.parametrize("key", ["a", "a/b", "/a", "../a", "猫" * 283, "x" * 850, "a b+&<>\"'", "tab\x85ok"])
def test_keys_that_can_be_used(key: str) -> None:
    assert key_fault(key) is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        ("x" * 851, "851 bytes"),
        ("猫" * 284, "852 bytes"),
        ("a\x00b", r"U\+0000 at position 1"),
        ("a\nb", r"U\+000A"),
        ("\x7f", r"U\+007F"),
        ("\ud800", r"U\+D800"),
        ("\uffff", r"U\+FFFF"),
    ],
)
def test_keys_that_cannot_be_used_say_why(key: str, reason: str) -> None:
    fault = key_fault(key)
    assert fault is not None
    assert re.search(reason, fault)
