"""Writes files as byte arrays: embed.py OUTPUT.c NAME FILE ...

A kernel is known by its file name ("relu.cl"), any other file with its folder ("models/resnet18.yaml")."""
import os
import sys


def name_of(path):
    folder, file = os.path.split(path)
    return file if file.endswith(".cl") else os.path.basename(folder) + "/" + file


output, name, files = sys.argv[1], sys.argv[2], sys.argv[3:]
lines = ['#include "cl/embedded.h"', ""]
for number, path in enumerate(files):
    with open(path, "rb") as source:
        data = source.read() + b"\0"
    lines.append(f"static const char file_{number}[] = {{")
    for start in range(0, len(data), 24):
        lines.append("    " + "".join(f"{byte}," for byte in data[start : start + 24]))
    lines.append("};")
lines.append(f"const struct thaw_embedded_file {name}s[] = {{")
for number, path in enumerate(files):
    lines.append(f'    {{"{name_of(path)}", file_{number}}},')
lines += ["};", f"const int {name}_count = {len(files)};", ""]
with open(output, "w", encoding="utf-8") as target:
    target.write("\n".join(lines))
