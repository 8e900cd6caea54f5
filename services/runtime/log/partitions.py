"""Which partition a key belongs to: murmur2, as every Kafka client does by default. Pure."""

import struct
from functools import lru_cache

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """MurmurHash2 (Austin Appleby), seeded as in `org.apache.kafka.common.utils.Utils.murmur2`; 0..2³²−1."""
    length = len(data)
    h = 0x9747B28C ^ length
    words = length // 4
    for (k,) in struct.iter_unpack("<I", data[: words * 4]):
        k = k * _M & _MASK
        k ^= k >> 24
        h = (h * _M & _MASK) ^ (k * _M & _MASK)
    if rest := data[words * 4 :]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=16_384)
def partition_of(key: str, partitions: int) -> int:
    """The partition of a key among so many; remembered, since one session sends the same key ten times a second."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
