"""Writes the kernel files as byte arrays: embed.py OUTPUT.c NAME FILE.cl ..."""
import os
import sys

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
    lines.append(f'    {{"{os.path.basename(path)}", file_{number}}},')
lines += ["};", f"const int {name}_count = {len(files)};", ""]
with open(output, "w", encoding="utf-8") as target:
    target.write("\n".join(lines))
