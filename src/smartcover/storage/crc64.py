"""CRC-64/XZ of two bodies joined, from the checksums of each alone."""

from __future__ import annotations

# ECMA-182's polynomial with its bits reversed, as CRC-64/XZ uses it.
_POLYNOMIAL = 0xC96C5795D7870F42
_ONE = 1 << 63  # x**0: the reversed form keeps the highest power in the lowest bit
_X_TO_THE_8 = 1 << 55


def combine(first: int, second: int, second_size_bytes: int) -> int:
    """
    Give the CRC-64/XZ of A+B from `first` = crc(A), `second` = crc(B) and the size of B.

    Appending n bytes multiplies A's remainder by x**(8n) modulo the polynomial; the starting and final inversions of
    both cancel out. This is Mark Adler's method of zlib's crc32_combine with another polynomial.
    """
    shift, power, count = _ONE, _X_TO_THE_8, second_size_bytes
    while count:
        if count & 1:
            shift = _multiply(shift, power)
        power = _multiply(power, power)
        count >>= 1
    return _multiply(shift, first) ^ second


def _multiply(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFFFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product
