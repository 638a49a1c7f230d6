#!/usr/bin/env python3
"""{{title}}: draws this figure with matplotlib from the arrays that were written with it.

    python {{script}} [-o FILE]      any format of matplotlib [default: a PNG next to this script]

Needs numpy and matplotlib. Written by train-ctrnn {{version}}; change what you like.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.transforms import Bbox

HERE = Path(__file__).resolve()
data = np.load(HERE.with_name({{npz}}), allow_pickle=False)

WIDTH, HEIGHT = {{size}}  # mm
FONT, SMALL = {{fonts}}  # points
MM = 72 / 25.4  # points in a millimetre
GREY = "#6e6e6e"
BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#56b4e9", "#08285c"])
BLUE_WHITE_RED = LinearSegmentedColormap.from_list("blue_white_red", ["#0072b2", "#ffffff", "#d55e00"])
for colours in BLUES, BLUE_WHITE_RED:
    colours.set_bad(GREY)

plt.rcParams.update({
    "font.size": FONT,
    "font.sans-serif": ["Arimo", "Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "text.parse_math": False,
    "axes.titlesize": FONT,
    "axes.labelsize": FONT,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": FONT,
    "ytick.labelsize": FONT,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "axes.labelpad": 2,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "legend.handlelength": 1,
    "legend.handletextpad": 0.5,
    "legend.borderaxespad": 0,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
})
figure = plt.figure(figsize=(WIDTH / 25.4, HEIGHT / 25.4))


def panel(left, top, width, height):
    """Returns axes at a place in mm from the upper left corner."""
    return figure.add_axes((left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT))


def band(ax, start, end, colour, label="", tilted=False, at=None):
    """Shades an epoch and writes its name above the panel, in the middle or at `at`."""
    ax.axvspan(start, end, color=colour, linewidth=0, zorder=0)
    at = (start + end) / 2 if at is None else at
    place = {"ha": "left", "rotation": 45, "rotation_mode": "anchor"} if tilted else {"ha": "center"}
    ax.annotate(label, (at, 1), (0, 2), ax.get_xaxis_transform(), "offset points",
                color=GREY, fontsize=SMALL, va="bottom", **place)


def matrix(ax, x, y, values, colours, low, high):
    """Draws a matrix as coloured cells; its first row is at y[0]."""
    rows, columns = values.shape
    ax.pcolormesh(np.linspace(*x, columns + 1), np.linspace(*y, rows + 1), values,
                  cmap=colours, vmin=low, vmax=high, rasterized=values.size > 10000)


{{panels}}
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("-o", "--output", default=HERE.with_suffix(".png"))
# Grows where another font than Arimo is wider than the page.
page = Bbox.union([figure.bbox_inches, figure.get_tightbbox()])
figure.savefig(parser.parse_args().output, dpi=300, bbox_inches=page)
