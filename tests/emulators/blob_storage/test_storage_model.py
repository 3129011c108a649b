"""Random histories of page blobs against a plain model: written, cleared, frozen and copied bytes."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage_lab import Lab

from emulators.blob_storage.contract import PAGE
from emulators.blob_storage.pages import CHUNK, Pages

SIZE = 3 * CHUNK
PAGES = SIZE // PAGE


@dataclass
class Model:
    """A page blob as plain bytes and the set of written pages."""

    content: bytearray = field(default_factory=lambda: bytearray(SIZE))
    written: set[int] = field(default_factory=set)

    def write(self, first: int, count: int, fill: int) -> bytes:
        data = bytes([fill]) * (count * PAGE)
        self.content[first * PAGE : (first + count) * PAGE] = data
        self.written |= set(range(first, first + count))
        return data

    def clear(self, first: int, count: int) -> None:
        self.content[first * PAGE : (first + count) * PAGE] = bytes(count * PAGE)
        self.written -= set(range(first, first + count))

    def copy(self) -> "Model":
        return Model(bytearray(self.content), set(self.written))

    def ranges(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for page in sorted(self.written):
            if found and found[-1][0] + found[-1][1] == page * PAGE:
                found[-1] = (found[-1][0], found[-1][1] + PAGE)
            else:
                found.append((page * PAGE, PAGE))
        return found


places = st.integers(0, PAGES - 1).flatmap(lambda first: st.tuples(st.just(first), st.integers(1, PAGES - first)))
steps = st.lists(st.tuples(st.sampled_from(["write", "write", "clear", "freeze"]), places, st.integers(0, 255)), max_size=14)


@given(steps, places)
@settings(deadline=None, max_examples=120, derandomize=True)
def test_pages_in_memory_are_the_plain_bytes(history: list[tuple[str, tuple[int, int], int]], window: tuple[int, int]) -> None:
    pages, model = Pages(SIZE), Model()
    frozen: list[tuple[Pages, Model]] = []
    for word, (first, count), fill in history:
        if word == "write":
            pages.write(first * PAGE, model.write(first, count, fill))
        elif word == "clear":
            model.clear(first, count)
            pages.clear(first * PAGE, count * PAGE)
        else:
            frozen.append((pages.copy(), model.copy()))
    for found, expected in [(pages, model), *frozen]:
        offset, length = window[0] * PAGE + 3, window[1] * PAGE
        assert found.read(offset, length) == bytes(expected.content[offset : offset + length])
        assert found.read(0, SIZE) == bytes(expected.content)
        assert found.ranges() == expected.ranges()


@given(st.data())
@settings(
    deadline=None,
    max_examples=4,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_page_blobs_their_snapshots_and_copies_are_the_plain_bytes(lab: Lab, data: st.DataObject) -> None:
    history = data.draw(steps)
    source, target = lab.store(0), lab.store(1)
    number = lab.clock.uuid()[:8]
    for store in (source, target):
        store.create_container(f"c{number}")
    container = f"c{number}"
    source.create_page_blob(container, "disk", SIZE)
    model, frozen = Model(), dict[str, Model]()
    for word, (first, count), fill in history:
        if word == "write":
            source.put_pages(container, "disk", first * PAGE, model.write(first, count, fill))
        elif word == "clear":
            model.clear(first, count)
            source.clear_pages(container, "disk", first * PAGE, count * PAGE)
        else:
            frozen[source.snapshot_blob(container, "disk")] = model.copy()
    for index, (snapshot, expected) in enumerate(list(frozen.items())):
        source.copy_blob(container, "disk", snapshot, target, container, f"copy{index}")
        changed = expected.copy()
        target.put_pages(container, f"copy{index}", 0, changed.write(0, 1, 77))  # what is done to a copy stays there
        assert target.get_blob(container, f"copy{index}") == bytes(changed.content)
    for snapshot, expected in frozen.items():
        assert source.get_blob(container, "disk", snapshot=snapshot) == bytes(expected.content)
        assert source.page_ranges(container, "disk", snapshot=snapshot) == expected.ranges()
    assert source.get_blob(container, "disk") == bytes(model.content)
    assert source.page_ranges(container, "disk") == model.ranges()
