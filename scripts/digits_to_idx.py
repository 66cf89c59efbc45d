#!/usr/bin/env python3
"""Writes the handwritten digits of scikit-learn as MNIST's IDX files: 1,000 for training, 797 for testing.

usage: digits_to_idx.py digits.csv.gz DIRECTORY

A row of digits.csv.gz is 64 grey values of 0 to 16, of 8 x 8 pixels, and the digit. Rows that follow
each other seem to be of one writer, so the first 1,000 and the last 797 should have few writers in common.
"""
import gzip
import os
import struct
import sys

TRAIN = 1000
SIDE = 8


def write_idx(path, dims, values):
    with open(path + ".partial", "wb") as file:
        # no time and no name in the gzip: the same bytes every time
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            packed.write(struct.pack(f">BBBB{len(dims)}I", 0, 0, 8, len(dims), *dims))
            packed.write(bytes(values))
    os.replace(path + ".partial", path)


def main(source, directory):
    with gzip.open(source, "rt") as file:
        rows = [[int(float(field)) for field in line.split(",")] for line in file]
    for name, part in (("train", rows[:TRAIN]), ("test", rows[TRAIN:])):
        pixels = [value * 255 // 16 for row in part for value in row[: SIDE * SIDE]]
        path = os.path.join(directory, name)
        write_idx(f"{path}-images-idx3-ubyte.gz", (len(part), SIDE, SIDE), pixels)
        write_idx(f"{path}-labels-idx1-ubyte.gz", (len(part),), [row[SIDE * SIDE] for row in part])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
