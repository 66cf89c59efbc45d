#!/usr/bin/env python3
"""Times every convolution of networks against PyTorch on the same cores: forward, backward-data and
backward-weight of each on its own.

    python3 tests/bench/compare_layers.py -o bench-layers
    python3 tests/bench/compare_layers.py --networks mobilenet_v2:16 --threads 1

Needs torch for the Python that runs it, and a build (--thaw, --bench-conv). Use a quiet machine.

Both sides run one convolution again and again and keep the median time. What the layer before would have just
written stays the same, the other tensors take turns with as many as the cache cannot hold together, since in a
network, too, other layers come in between. PyTorch may use the faster of its two memory formats, for each direction on its own,
with a malloc that keeps freed memory (compare_pytorch.py); Thaw runs the candidate that it takes by default, with
the layouts of the network. GFLOP/s count the direct algorithm, so Winograd's may exceed the peak.

The table has a row for each direction of each distinct convolution, the most time to win first: what a training
step loses against running at PyTorch's speed or at 85 % of the peak, whichever is more, times the layers that are
alike. Writes OUTPUT.md and OUTPUT.json."""
import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import time

from compare_pytorch import TUNED, environment, networks, write

DEFAULT = "vgg16:8,resnet18:16,resnet50:16,mobilenet_v2:16"
SETS_MAX, SETS_BYTES = 16, 96 << 20  # as in bench_conv.c
KEY = re.compile(r"conv (?P<direction>\S+) n(?P<n>\d+) x(?P<c>\d+)x(?P<h>\d+)x(?P<w>\d+)/\S+ "
                 r"y(?P<o>\d+)x(?P<oh>\d+)x(?P<ow>\d+)/\S+ k(?P<kh>\d+)x(?P<kw>\d+) s(?P<sh>\d+)x(?P<sw>\d+) "
                 r"d(?P<dh>\d+)x(?P<dw>\d+) p(?P<ph>\d+)x(?P<pw>\d+) g(?P<g>\d+)")


def parse(key):
    return {k: v if k == "direction" else int(v) for k, v in KEY.match(key).groupdict().items()}


# ---- a process of PyTorch -----------------------------------------------------------------------


def median_of(function, sets, seconds):
    """Of the runs that fit into the time, at least five. The sets take turns, and so do the results' places."""
    times, results, end = [], [None] * len(sets), time.perf_counter() + seconds
    while len(times) < 5 or (len(times) < 50 and time.perf_counter() < end):
        turn = len(times) % len(sets)
        start = time.perf_counter()
        results[turn] = function(*sets[turn])
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def worker(threads, seconds):
    """Reads problems from standard input; prints milliseconds and the memory format for each."""
    import torch

    torch.set_num_threads(threads)
    for line in sys.stdin:
        p, best = parse(line), None
        for name in ("contiguous", "channels_last"):
            layout = torch.contiguous_format if name == "contiguous" else torch.channels_last
            make = lambda *shape: torch.randn(*shape).to(memory_format=layout)  # noqa: E731, B023
            shapes = ((p["n"], p["c"], p["h"], p["w"]), (p["o"], p["c"] // p["g"], p["kh"], p["kw"]),
                      (p["n"], p["o"], p["oh"], p["ow"]))
            count = min(SETS_MAX, SETS_BYTES // (4 * sum(math.prod(shape) for shape in shapes)) + 1)
            sets, forward = [[make(*shape) for shape in shapes] for _ in range(count)], p["direction"] == "forward"
            for tensors in sets:
                tensors[0 if forward else 2] = sets[0][0 if forward else 2]
            where = ([p["sh"], p["sw"]], [p["ph"], p["pw"]], [p["dh"], p["dw"]], False, [0, 0], p["g"])
            mask = [p["direction"] == "backward-data", p["direction"] == "backward-weight", False]

            def run_forward(x, weight, _):
                return torch.ops.aten.convolution(x, weight, None, *where)  # noqa: B023

            def run_backward(x, weight, grad):
                return torch.ops.aten.convolution_backward(grad, x, weight, None, *where, mask)  # noqa: B023

            with torch.inference_mode():
                ms = 1e3 * median_of(run_forward if forward else run_backward, sets, seconds)
            best = min(best or (ms, name), (ms, name))
        print(f"{best[0]:.4f}\t{best[1]}", flush=True)


# ---- measuring ----------------------------------------------------------------------------------


def output_of(command, text, cores, more):
    cores = set(cores)
    env = environment({"POCL_MAX_PTHREAD_COUNT": str(len(cores)), "POCL_CPU_MAX_CU_COUNT": str(len(cores)),
                       "OMP_NUM_THREADS": str(len(cores)), **more})
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, env=env, text=True, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, cores))
    return done.stdout


def measure(options, network, batch):
    """Rows of a network: one for each distinct problem of a convolution."""
    listing = json.loads(output_of([options.thaw, "tune", network, "--training", "--batch", str(batch), "--json",
                                    "--quiet", "--dry-run", "--seconds", "1"], None, options.cores, {}))
    # layers of one pixel are matrix products; what accumulates has no equal in PyTorch, nor have activations
    problems = {}
    for p in listing["problems"]:
        key = p["problem"].replace(" accumulate", "")
        if not key.startswith("conv ") or " none" not in key:
            continue
        if parse(key)["h"] > 1 and (options.only or "") in key:
            problem = problems.setdefault(key, {"network": network, "layer": p["layer"], "layers": 0, "problem": key})
            problem["layers"] += p["uses"]
    rows, keys = list(problems.values()), "".join(key + "\n" for key in problems)
    ours = output_of([options.bench_conv, "--keys"], keys, options.cores, {}).splitlines()
    theirs = output_of([sys.executable, os.path.abspath(__file__), "--worker", str(len(options.cores)),
                        str(options.seconds)], keys, options.cores, TUNED).splitlines()
    for row, our, their in zip(rows, ours, theirs):
        p = parse(row["problem"])
        flops = 2e-6 * p["n"] * p["o"] * p["oh"] * p["ow"] * (p["c"] // p["g"]) * p["kh"] * p["kw"]  # Mflop
        ms, candidate, _ = our.split("\t")
        torch_ms, torch_format = their.split("\t")
        row.update(direction=p["direction"], candidate=candidate, ms=float(ms), torch_ms=float(torch_ms),
                   torch_format=torch_format, gflops=flops / float(ms), torch_gflops=flops / float(torch_ms))
    return rows


def finish(rows, peak):
    for row in rows:
        row["fraction_of_peak"] = row["gflops"] / peak
        row["ratio"] = row["torch_ms"] / row["ms"]
        par = max(row["torch_gflops"], 0 if row["candidate"].startswith("depthwise") else 0.85 * peak)
        row["lost_ms"] = max(0, row["ms"] * (1 - row["gflops"] / par)) * row["layers"]
    rows.sort(key=lambda row: -row["lost_ms"])


# ---- output -------------------------------------------------------------------------------------


def shape(p):
    kind = " depthwise" if p["g"] == p["c"] > 1 else f" groups {p['g']}" if p["g"] > 1 else ""
    return (f"{p['c']}->{p['o']}@{p['h']} {p['kh']}x{p['kw']}{kind}" + (f" s{p['sh']}" if p["sh"] > 1 else "") +
            f" b{p['n']}")


def markdown(rows, peak, cores):
    total = lambda key: sum(row[key] * row["layers"] for row in rows)  # noqa: E731
    slower = [row for row in rows if row["ratio"] < 1]
    lines = [f"Convolutions against PyTorch's better format, {cores} cores, FMA peak {peak:.0f} GFLOP/s; {len(rows)} "
             f"problems, all layers together {total('ms'):.1f} ms, PyTorch {total('torch_ms'):.1f} ms; slower than "
             f"PyTorch: {len(slower)}.", "",
             "| layer | | x | candidate | ms | GFLOP/s | of peak | PyTorch ms | ratio | loses ms |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for r in rows:
        lines.append(f"| {shape(parse(r['problem']))} | {r['direction']} | {r['layers']} | {r['candidate']} | "
                     f"{r['ms']:.3f} | {r['gflops']:.0f} | {100 * r['fraction_of_peak']:.0f} % | "
                     f"{r['torch_ms']:.3f} | {r['ratio']:.2f} | {r['lost_ms']:.2f} |")
    return "\n".join(lines) + "\n"


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=networks, default=networks(DEFAULT), metavar="NAME:BATCH,...",
                        help=f"as Thaw names them ({DEFAULT})")
    parser.add_argument("--only", metavar="TEXT", help="problems whose key contains it, as 'k1x1' or 'backward'")
    parser.add_argument("--seconds", type=float, default=0.1, help="PyTorch's runs of each format (0.1)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="cores to run on (all)")
    parser.add_argument("--thaw", default="build/thaw", metavar="FILE", help="the program (build/thaw)")
    parser.add_argument("--bench-conv", default="build/tests/bench_conv", metavar="FILE",
                        help="the program that times one convolution (build/tests/bench_conv)")
    parser.add_argument("-o", "--output", default="bench-layers", help="for .md and .json (bench-layers)")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if not 0 <= options.threads <= len(cores):
        parser.error(f"--threads up to {len(cores)}")
    options.cores = cores[:options.threads] if options.threads else cores
    return options


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(int(sys.argv[2]), float(sys.argv[3]))
    options = parse_options()
    rows = [row for network, batch in options.networks for row in measure(options, network, batch)]
    peak = float(output_of([options.bench_conv, "--peak"], None, options.cores, {}))
    finish(rows, peak)
    write(options.output + ".json", json.dumps({"cores": len(options.cores), "peak_gflops": peak, "rows": rows},
                                               indent=1) + "\n")
    text = markdown(rows, peak, len(options.cores))
    write(options.output + ".md", text)
    print(text, end="")


if __name__ == "__main__":
    main()
