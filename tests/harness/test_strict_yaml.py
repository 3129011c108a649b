import pytest

from harness.strict_yaml import SpecError, loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("20:04", "20:04"),
        ("010", "010"),
        ("2017-06-14", "2017-06-14"),
        ("1e5", "1e5"),
        ("0x10", "0x10"),
        ("True", "True"),
        ("true", True),
        ("false", False),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("'12'", "12"),
        ('"true"', "true"),
        ("'null'", "null"),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, value: object) -> None:
    (node,) = loads(f"[{text}]", "f").value
    assert node.plain() == value
    assert type(node.plain()) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "stands twice (first on line 1)"),
        ("a: 1\nb:\n", 2, "missing"),
        ("a: ~\n", 1, "missing"),
        ("a: &x 1\nb: *x\n", 1, "anchors"),
        ("a: 1\nb: *x\n", 2, ""),
        ("a: !!python/object:os.system 1\n", 1, "tags"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: [1, 2\nb: 3\n", 2, "not YAML"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("1: a\n", 1, "key must be a text"),
        ("", 1, "empty"),
        ("[" * 60 + "]" * 60, 1, "too deeply"),
    ],
)
def test_a_surprise_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(SpecError) as caught:
        loads(text, "some/file.yaml")
    assert str(caught.value).startswith(f"some/file.yaml:{line}: ")
    assert what in str(caught.value)


def test_lines_of_nested_values_are_kept() -> None:
    node = loads("a:\n  - b: 1\n    c:\n      d: 2\n", "f")
    (item,) = node.value["a"].value
    assert (item.line, item.value["c"].line, item.value["c"].value["d"].line) == (2, 3, 4)
