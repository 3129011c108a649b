"""The witness knows every instant of a machine's disks."""

from hypothesis import given
from hypothesis import strategies as st

from drillbed.witness import Witness, Write, ZeroDisk, sha256

SIZE = 4096


class Held:
    def __init__(self, content: bytes):
        self.content = content
        self.size = len(content)

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


WRITES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 7), st.binary(min_size=512, max_size=512), st.integers(0, 5)), max_size=12
)


@given(WRITES)
def test_every_prefix_is_recognised_and_nothing_else(steps: list[tuple[int, int, bytes, int]]) -> None:
    witness = Witness({0: lambda: ZeroDisk(SIZE), 1: lambda: ZeroDisk(SIZE)})
    disks = {0: bytearray(SIZE), 1: bytearray(SIZE)}
    states = [{unit: bytes(disk) for unit, disk in disks.items()}]
    when = 0.0
    for unit, block, data, rest in steps:
        when += rest
        witness.wrote(unit, block * 512, data, when)
        disks[unit][block * 512 : block * 512 + 512] = data
        states.append({unit: bytes(disk) for unit, disk in disks.items()})
    everything = range(len(states))
    for state in states:
        found = witness.matching({unit: sha256(Held(content)) for unit, content in state.items()}, everything)
        assert found is not None
        assert states[found] == state
    torn = {0: sha256(Held(b"\xff" * SIZE)), 1: sha256(Held(states[-1][1]))}
    assert witness.matching(torn, everything) is None


def test_prefixes_of_an_instant_are_bounded_by_the_writes_around_it() -> None:
    witness = Witness({0: lambda: ZeroDisk(SIZE)}, [Write(0, 0, b"a" * 512, when) for when in (1.0, 2.0, 2.0, 3.0)])
    assert list(witness.prefixes_at(0.5)) == [0]
    assert list(witness.prefixes_at(1.5)) == [1]
    assert list(witness.prefixes_at(2.0)) == [1, 2, 3]
    assert list(witness.prefixes_at(9.0)) == [4]


def test_sha256_reads_whole_disks() -> None:
    assert sha256(ZeroDisk(10_000_000)) == "f5e02aa71e67f41d79023a128ca35bad86cf7b6656967bfe0884b3a3c4325eaf"
