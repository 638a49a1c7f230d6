"""XXH3 (64 bits), by which the manifest of a checkpoint knows its files."""

import numpy as np

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
P32 = [0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D]
P64 = [0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5]
STRIPE, BLOCK, AT_ONCE = 64, 1024, 4096
SHORTEST = 241
"""Shorter content is digested in another way, which no file of weights needs: a header alone is longer."""


def xxh3(content):
    """The digest of at least 241 bytes as 16 hexadecimal digits.

    Each of eight lanes of 64 bits sums what the stripes of a block give, in any order; after a block it is scrambled.
    """
    n_blocks = (len(content) - 1) // BLOCK
    lanes = np.array([P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]], "<u8")
    secret = np.stack([words(SECRET[8 * stripe :], 8) for stripe in range(BLOCK // STRIPE)])
    for first in range(0, n_blocks, AT_ONCE):
        last = min(first + AT_ONCE, n_blocks)
        values = np.frombuffer(content[first * BLOCK : last * BLOCK], "<u8").reshape(last - first, -1, 8)
        for given in stripes(values, secret).sum(1, dtype="<u8"):
            lanes = lanes + given
            lanes = (lanes ^ lanes >> np.uint64(47) ^ words(SECRET[-STRIPE:], 8)) * np.uint64(P32[0])
    n_stripes = (len(content) - 1 - n_blocks * BLOCK) // STRIPE
    rest = content[n_blocks * BLOCK : n_blocks * BLOCK + n_stripes * STRIPE]
    lanes = lanes + stripes(np.frombuffer(rest, "<u8").reshape(-1, 8), secret[:n_stripes]).sum(0, dtype="<u8")
    lanes = lanes + stripes(words(content[-STRIPE:], 8), words(SECRET[-STRIPE - 7 :], 8))
    mixed = [int(lane) ^ int(word) for lane, word in zip(lanes, words(SECRET[11:], 8))]
    folded = [fold(a * b) for a, b in zip(mixed[::2], mixed[1::2])]
    return f"{avalanche((len(content) * P64[0] + sum(folded)) % 2**64):016x}"


def stripes(values, secret):
    """What stripes of eight words add to the lanes: each its word to the neighbour, and the product of two halves to its own."""
    keyed = values ^ secret
    swapped = values.reshape(*values.shape[:-1], 4, 2)[..., ::-1].reshape(values.shape)
    return swapped + (keyed & np.uint64(0xFFFFFFFF)) * (keyed >> np.uint64(32))


def words(content, n):
    return np.frombuffer(content, "<u8", n)


def fold(product):
    return product % 2**64 ^ product >> 64


def avalanche(number):
    number = (number ^ number >> 37) * 0x165667919E3779F9 % 2**64
    return number ^ number >> 32
