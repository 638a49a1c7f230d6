"""Coefficients of the polynomials in src/activation.rs, printed as Rust constants.

    python3 -m venv /tmp/minimax && /tmp/minimax/bin/pip install mpmath && /tmp/minimax/bin/python scripts/minimax.py

For g(x) > 0 on an interval, the exchange algorithm of Remez finds the polynomial p whose relative error |p/g - 1| has the
smallest maximum: at degree + 2 points the error then has that size and alternating sign. Each round solves for the
polynomial and the size on the present points, then moves the points to the extrema of the error.

Finally each coefficient is rounded to the float type (the constant one becomes 1, so that values near 0 are exact); the error
printed is that of the rounded polynomial, evaluated exactly.
"""

import struct

from mpmath import expm1, linspace, log, log1p, lu_solve, matrix, mp, mpf, nint

mp.dps = 60


def g_expm1(x):
    """expm1(x) / x"""
    return expm1(x) / x if abs(x) > mpf(10) ** -25 else 1 + x / 2


def g_log1p(x):
    """log1p(x) / x"""
    return log1p(x) / x if abs(x) > mpf(10) ** -25 else 1 - x / 2


def horner(coefficients, x):
    total = mpf(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def maximum(f, left, right):
    """Where |f| is largest between two points, by golden section."""
    ratio = (mpf(5) ** 0.5 - 1) / 2
    for _ in range(60):
        a, b = right - ratio * (right - left), left + ratio * (right - left)
        if abs(f(a)) > abs(f(b)):
            right = b
        else:
            left = a
    return (left + right) / 2


def remez(g, low, high, degree):
    """Coefficients c0, ..., c_degree."""
    n = degree + 2
    points = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)][::-1]
    for _ in range(30):
        # sum_k c_k x^k / g(x) +- e = 1
        rows = [[x**k / g(x) for k in range(degree + 1)] + [mpf(-1) ** i] for i, x in enumerate(points)]
        solution = lu_solve(matrix(rows), matrix([mpf(1)] * n))
        coefficients = [solution[k] for k in range(degree + 1)]

        def error(x):
            return horner(coefficients, x) / g(x) - 1

        grid = linspace(low, high, 60 * n)
        values = [error(x) for x in grid]
        extrema = []
        start = 0
        for i in range(1, len(grid) + 1):
            if i == len(grid) or (values[i] > 0) != (values[start] > 0):
                best = max(range(start, i), key=lambda j: abs(values[j]))
                extrema.append(maximum(error, grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]))
                start = i
        while len(extrema) > n:
            extrema.pop(0 if abs(error(extrema[0])) < abs(error(extrema[-1])) else -1)
        if len(extrema) < n:
            break
        sizes = [abs(error(x)) for x in extrema]
        points = extrema
        if max(sizes) / min(sizes) < 1 + mpf(10) ** -6:
            break
    return coefficients


def rounded(x, bits):
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0]) if bits == 32 else mpf(float(x))


def literal(x, bits):
    if bits == 64:
        return repr(float(x))
    for digits in range(1, 12):
        text = f"{float(x):.{digits}g}"
        if rounded(mpf(text), 32) == x:
            return repr(float(text))
    raise ValueError(x)


def constant(name, g, low, high, degree, bits):
    coefficients = [rounded(c, bits) for c in remez(g, low, high, degree)]
    worst = max(abs(horner(coefficients, x) / g(x) - 1) for x in linspace(low, high, 4001))
    print(f"// {g.__doc__} on [{float(low):.4g}, {float(high):.4g}], relative error {float(worst):.1e}")
    print(f"const {name}: [f{bits}; {degree + 1}] = [")
    for c in coefficients:
        print(f"    {literal(c, bits)},")
    print("];")


def split_ln2(bits, high_bits):
    """ln 2 = high + low; n * high is exact for every exponent n."""
    scale = mpf(2) ** high_bits
    high = nint(log(2) * scale) / scale
    low = rounded(log(2) - high, bits)
    print(f"const LN_2: [f{bits}; 2] = [{literal(rounded(high, bits), bits)}, {literal(low, bits)}];")


half = log(2) / 2 * (1 + mpf(2) ** -10)
for bits, exp_degree, log_degree, high_bits in [(32, 5, 9, 16), (64, 10, 21, 42)]:
    constant("EXPM1", g_expm1, -half, half, exp_degree, bits)
    constant("LOG1P", g_log1p, mpf(0), mpf(1), log_degree, bits)
    split_ln2(bits, high_bits)
