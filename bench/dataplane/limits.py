"""The bounds of a first copy in the same run: codec alone, store alone, and the processor time that both need together."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from measure import MIB, cpu_of

CORES = 2
PIECE, BLOCK = 4 * MIB, 64 << 10
ZERO = bytes(BLOCK)


@dataclass(frozen=True)
class Limits:
    """Seconds. `bound` is t_min: no copy that compresses, seals and stores the same can be faster on two cores."""

    codec: float
    codec_cpu: float
    store: float
    store_cpu: float
    stored: int

    @property
    def bound(self) -> float:
        return max(self.codec, self.store, (self.codec_cpu + self.store_cpu) / CORES)


def pieces_of(image: Path) -> list[bytes]:
    """What is not zero, in pieces of about 4 MiB."""
    found, held, size = [], [], 0
    with image.open("rb", buffering=0) as reading:
        while block := reading.read(PIECE):
            for at in range(0, len(block), BLOCK):
                part = block[at : at + BLOCK]
                if part != ZERO[: len(part)]:
                    held.append(part)
                    size += len(part)
            if size >= PIECE:
                found.append(b"".join(held))
                held, size = [], 0
    return [*found, b"".join(held)] if held else found


def measure(image: Path, store: Any, azurite: int) -> Limits:
    """Read, skip zeros, zstd 1, AES-256-GCM on two threads; then the result by Put Blob with two threads into Azurite."""
    pieces = pieces_of(image)
    cpu, begun = cpu_of(), time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        sealed = list(pool.map(_seal, pieces))
    codec, codec_cpu = time.perf_counter() - begun, cpu_of() - cpu
    store.create_container("bound")
    cpu, begun = cpu_of() + cpu_of(azurite), time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda numbered: store.put_blob("bound", f"{numbered[0]}", numbered[1]), enumerate(sealed)))
    return Limits(codec, codec_cpu, time.perf_counter() - begun, cpu_of() + cpu_of(azurite) - cpu, sum(map(len, sealed)))


def _seal(piece: bytes) -> bytes:
    return AESGCM(bytes(32)).encrypt(bytes(12), zstandard.ZstdCompressor(level=1).compress(piece), None)


def compressed(changes: list[tuple[int, bytes]]) -> int:
    """Bytes of the changes when they are compressed together, 4 MiB at a time."""
    whole = b"".join(data for _, data in changes)
    return sum(len(zstandard.ZstdCompressor(level=1).compress(whole[at : at + PIECE])) for at in range(0, len(whole), PIECE))
