"""The closed vocabulary. A word is one function in one of these files; a file is one group, listed here."""

from functools import cache

from harness.vocabulary import acts, history, judging, preparing, surroundings
from harness.vocabulary.word import Word

GROUPS = (preparing, surroundings, acts, judging, history)


@cache
def vocabulary() -> dict[tuple[str, str], Word]:
    """(part, name) to word. A name may stand in several parts with different meanings (`recovery_points`)."""
    found: dict[tuple[str, str], Word] = {}
    for group in GROUPS:
        for word in group.WORDS:
            for part in word.parts:
                assert (part, word.name) not in found, f"two words named {word.name} in {part}"
                found[part, word.name] = word
    return found


def words() -> list[Word]:
    """All words, in the order of the files."""
    return [word for group in GROUPS for word in group.WORDS]
