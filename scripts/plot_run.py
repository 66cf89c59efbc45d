"""Draws a run's metrics as an SVG: plot_run.py RUN > picture.svg (Python's standard library only)."""
import json
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 790, 340, 56, 180, 40, 40
SERIES = [  # key, label, colour
    (lambda e: e["val"]["top1"], "accuracy", "#1f6fb4"),
    (lambda e: e["val"]["balanced"], "balanced accuracy", "#c8501e"),
]
LOW, HIGH = 0.70, 0.90


def x_of(i, count):
    return LEFT + (WIDTH - LEFT - RIGHT) * i / max(count - 1, 1)


def y_of(value):
    value = min(max(value, LOW), HIGH)
    return TOP + (HEIGHT - TOP - BOTTOM) * (HIGH - value) / (HIGH - LOW)


def text(x, y, words, anchor="start", colour="#333", size=12):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'font-size="{size}">{words}</text>')


def main(run):
    with open(f"{run}/metrics.jsonl", encoding="utf-8") as file:
        epochs = [json.loads(line) for line in file]
    count = len(epochs)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for step in range(5):
        value = LOW + (HIGH - LOW) * step / 4
        out.append(f'<path d="M{LEFT} {y_of(value):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(text(LEFT - 8, y_of(value) + 4, f"{value:.2f}", "end"))
    start = 0
    for i in range(1, count + 1):
        if i < count and epochs[i]["stage"] == epochs[start]["stage"]:
            continue
        if i < count:
            middle = (x_of(i - 1, count) + x_of(i, count)) / 2
            out.append(f'<path d="M{middle:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#999" stroke-dasharray="4"/>')
        centre = (x_of(start, count) + x_of(i - 1, count)) / 2
        out.append(text(centre, TOP - 12, f'{epochs[start]["stage"]}, {i - start} epochs', "middle"))
        start = i
    for get, label, colour in SERIES:
        points = " ".join(f"{x_of(i, count):.1f},{y_of(get(e)):.1f}" for i, e in enumerate(epochs))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last = get(epochs[-1])
        out.append(text(WIDTH - RIGHT + 8, y_of(last) + 4, f"{label} {last:.3f}", colour=colour))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "epoch", "middle"))
    out.append("</svg>")
    print("\n".join(out))


main(sys.argv[1])
