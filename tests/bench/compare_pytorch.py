#!/usr/bin/env python3
"""Times whole networks against PyTorch on the same cores: inference, and training steps that end in an
update by SGD with momentum.

    python3 tests/bench/compare_pytorch.py -o bench-results
    python3 tests/bench/compare_pytorch.py --networks resnet18:16 --rounds 5 --threads 2

Needs torch and torchvision for the Python that runs it, and a build (--thaw, build/thaw). Use a quiet
machine: what else runs is measured too.

Every measurement is a process of its own. In each round all variants of a network take their turn, so that
a slow minute of the machine meets all of them; a cell of the table is the median over the rounds of the
median over the steps of a process. PyTorch runs in four variants: both memory formats, each with the C
library's malloc as it is and with a malloc that keeps freed memory (glibc.malloc.*, see TUNED). `against the
best` compares with the fastest of the four, `against the defaults` with contiguous tensors and malloc as it is.

Memory is the highest resident set of a process (VmHWM), libraries and the batch included; Thaw's before it
measures the device's peak, which takes half a GiB for a copy. GFLOP/s counts the
convolutions and matrix products, three times the forward pass for a training step, in float32 as both
programs compute; the peak is what `thaw bench` measures with fused multiply-adds on the same cores.
Writes OUTPUT.md and OUTPUT.json after every network."""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

DEFAULT = "vgg16:8,resnet18:16,resnet50:16,mobilenet_v2:16"
TUNED = {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "17179869184",
         "MALLOC_TOP_PAD_": "67108864"}
VARIANTS = [(layout, malloc) for layout in ("contiguous", "channels_last") for malloc in ("default", "tuned")]
# Settings of a shell that would make PyTorch slower or faster than it is where it is installed.
UNSET = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY",
         "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", *TUNED]


# ---- one process of PyTorch ---------------------------------------------------------------------


def worker(spec):
    """Runs in a process of its own; prints one JSON object."""
    import torch
    import torchvision

    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    layout = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[spec["layout"]]
    # Inception and GoogLeNet: without their auxiliary heads, which Thaw's models do not have
    extra = {"aux_logits": False} if spec["network"] in ("inception_v3", "googlenet") else {}
    model = torchvision.models.get_model(spec["network"], weights=None, **extra).to(memory_format=layout)
    size = spec["size"]
    x = torch.randn(spec["batch"], 3, size, size).to(memory_format=layout)
    y = torch.randint(0, 1000, (spec["batch"],))
    if spec["training"]:
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

        def step():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    else:
        model.eval()

        def step():
            with torch.inference_mode():
                model(x)

    for _ in range(2):  # the first creates the optimizer's state and the kernels
        step()
    times = []
    for _ in range(spec["steps"]):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(json.dumps({"step_s": statistics.median(times), "version": torch.__version__}))


# ---- measuring ----------------------------------------------------------------------------------


def environment(more):
    env = {name: value for name, value in os.environ.items() if name not in UNSET}
    return {**env, **more}


def run(command, more, cores):
    """Runs a command on the cores; returns its JSON, peak memory in bytes and processor time in seconds."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(more),
                               preexec_fn=lambda: os.sched_setaffinity(0, cores))
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode != 0:
        sys.exit(f"compare_pytorch: exit code {process.returncode}: {' '.join(command)}")
    return json.loads(output), usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


def run_thaw(options, network, batch, training):
    command = [options.thaw, "bench", network, "--batch", str(batch), "--json", "--quiet",
               "--repeats", str(options.steps)]
    command += ["--training"] if training else []
    command += ["--size", str(options.size)] if options.size else []
    more = {"POCL_MAX_PTHREAD_COUNT": str(len(options.cores)), "POCL_CPU_MAX_CU_COUNT": str(len(options.cores))}
    return run(command, more, options.cores)


def run_pytorch(options, network, batch, training, variant, size):
    layout, malloc = variant
    spec = {"network": network, "batch": batch, "training": training, "layout": layout, "size": size,
            "steps": options.steps, "threads": len(options.cores)}
    more = {"OMP_NUM_THREADS": str(len(options.cores)), **(TUNED if malloc == "tuned" else {})}
    return run([sys.executable, os.path.abspath(__file__), "--worker", json.dumps(spec)], more, options.cores)


def add(samples, result):
    answer, memory_bytes, cpu_s = result
    memory_bytes = answer.get("resident_bytes", memory_bytes)
    samples["ms"].append(1e3 * answer["step_s"])
    samples["memory"].append(memory_bytes)
    samples["cpu_s"].append(cpu_s)
    return answer


def summary(samples, batch, flops, peak_gflops):
    ms = statistics.median(samples["ms"])
    gflops = 1e-6 * flops / ms
    return {"ms": ms, "ms_of_rounds": samples["ms"], "images_per_s": 1e3 * batch / ms, "gflops": gflops,
            "fraction_of_peak": gflops / peak_gflops, "memory_bytes": statistics.median(samples["memory"]),
            "process_cpu_s": statistics.median(samples["cpu_s"])}


def measure(options, network, batch, training):
    """One network in one mode: all variants in turn, so many rounds."""
    empty = lambda: {"ms": [], "memory": [], "cpu_s": []}  # noqa: E731
    ours, theirs, peaks = empty(), {variant: empty() for variant in VARIANTS}, []
    for round_ in range(options.rounds):
        print(f"{network} b{batch} {'training' if training else 'inference'}: round {round_ + 1} of "
              f"{options.rounds}", file=sys.stderr)
        thaw = add(ours, run_thaw(options, network, batch, training))
        peaks.append(thaw["peak_gflops"])
        order = VARIANTS[round_ % len(VARIANTS):] + VARIANTS[:round_ % len(VARIANTS)]
        for variant in order:
            answer = add(theirs[variant], run_pytorch(options, network, batch, training, variant, thaw["size"]))
    flops, peak = thaw["flops"] * (3 if training else 1), statistics.median(peaks)
    result = {"network": network, "batch": batch, "size": thaw["size"], "training": training,
              "device": thaw["device"], "peak_gflops": peak, "torch": answer["version"],
              "thaw": summary(ours, batch, flops, peak),
              "pytorch": {"/".join(v): summary(theirs[v], batch, flops, peak) for v in VARIANTS}}
    best = min(result["pytorch"], key=lambda v: result["pytorch"][v]["ms"])
    # Of the same round: what slows the machine down for a minute slows both.
    paired = lambda name: statistics.median(  # noqa: E731
        a / b for a, b in zip(result["pytorch"][name]["ms_of_rounds"], result["thaw"]["ms_of_rounds"]))
    default = "/".join(VARIANTS[0])
    result.update(best=best, ratio_best=paired(best), ratio_default=paired(default),
                  memory_ratio=result["thaw"]["memory_bytes"] / result["pytorch"][best]["memory_bytes"])
    return result


# ---- output -------------------------------------------------------------------------------------


def cell(summary_):
    return (f"{summary_['ms']:.1f} | {summary_['images_per_s']:.1f} | {summary_['gflops']:.0f} | "
            f"{100 * summary_['fraction_of_peak']:.0f} % | {summary_['memory_bytes'] / 2**20:.0f}")


def markdown(options, results):
    first = results[0]
    lines = [f"Thaw against PyTorch {first['torch']} on {first['device']}, {len(options.cores)} cores, FMA peak "
             f"{first['peak_gflops']:.0f} GFLOP/s; medians of {options.rounds} rounds of {options.steps} steps.",
             "", "Times faster than PyTorch (its time by ours), and memory by its:", "",
             "| | against the best | against the defaults | memory |", "|---|---|---|---|"]
    name = lambda r: (f"{r['network']} b{r['batch']} {r['size']}x{r['size']} "  # noqa: E731
                      f"{'training' if r['training'] else 'inference'}")
    for r in results:
        lines.append(f"| {name(r)} | {r['ratio_best']:.2f} | {r['ratio_default']:.2f} | {r['memory_ratio']:.2f} |")
    lines += ["", "| | | ms | images/s | GFLOP/s | of peak | MiB |", "|---|---|---|---|---|---|---|"]
    for r in results:
        lines.append(f"| {name(r)} | Thaw | {cell(r['thaw'])} |")
        for variant, s in r["pytorch"].items():
            mark = " (best)" if variant == r["best"] else ""
            lines.append(f"| | PyTorch {variant.replace('/', ', malloc ')}{mark} | {cell(s)} |")
    return "\n".join(lines) + "\n"


def write(path, text):
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".part", path)


def networks(text):
    pairs = [entry.partition(":") for entry in text.split(",")]
    try:
        return [(name, int(batch or 16)) for name, _, batch in pairs]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': expected NAME:BATCH,NAME:BATCH,...") from None


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=networks, default=networks(DEFAULT), metavar="NAME:BATCH,...",
                        help=f"torchvision's names, which are Thaw's ({DEFAULT})")
    parser.add_argument("--mode", choices=["inference", "training", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=5, help="of all variants in turn (5)")
    parser.add_argument("--steps", type=int, default=7, help="timed in each process (7)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="cores to run on (all)")
    parser.add_argument("--size", type=int, default=0, metavar="PIXELS", help="height and width (the model's)")
    parser.add_argument("--thaw", default="build/thaw", metavar="FILE", help="the program (build/thaw)")
    parser.add_argument("-o", "--output", default="bench-results", help="for .md and .json (bench-results)")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if min(options.rounds, options.steps) < 1 or not 0 <= options.threads <= len(cores):
        parser.error(f"--rounds and --steps from 1 on, --threads up to {len(cores)}")
    options.cores = set(cores[:options.threads] if options.threads else cores)
    return options


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(json.loads(sys.argv[2]))
    options, results = parse_options(), []
    modes = {"inference": [False], "training": [True], "both": [False, True]}[options.mode]
    about = {"machine": platform.processor() or platform.machine(), "system": platform.platform(),
             "cores": len(options.cores), "rounds": options.rounds, "steps": options.steps}
    for network, batch in options.networks:
        for training in modes:
            results.append(measure(options, network, batch, training))
            write(options.output + ".json", json.dumps({**about, "results": results}, indent=1) + "\n")
            write(options.output + ".md", markdown(options, results))
    print(markdown(options, results), end="")


if __name__ == "__main__":
    main()
