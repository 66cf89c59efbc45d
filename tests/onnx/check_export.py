#!/usr/bin/env python3
"""Compares exported networks with onnxruntime: check_export.py THAW WEIGHTS FOLDER [MODEL...]

THAW is the program, WEIGHTS those of EfficientNet-Lite0, FOLDER a place for files. Logits of a few pictures must agree
to 1e-4, kept and folded, of published weights, of random ones (of ResNet-18, or of the MODELs) and of a fine-tuned run.
Run by .ci/run; needs onnx, onnxruntime and numpy."""
import json
import os
import struct
import subprocess
import sys
import zlib

import numpy
import onnx
import onnxruntime

TOLERANCE = 1e-4  # of the largest logit
PICTURES = 6


def thaw(*words):
    result = subprocess.run([THAW, *words], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout) if "--json" in words else result.stdout


def write_png(path, pixels):
    """pixels: (height, width, 3), uint8."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_pictures(folder, count, vertical, seed):
    """Stripes with noise, and other colours in each picture."""
    os.makedirs(folder, exist_ok=True)
    random = numpy.random.default_rng(seed)
    paths = []
    for i in range(count):
        y, x = numpy.mgrid[0:180, 0:200]
        wave = numpy.sin((x if vertical else y) * random.uniform(0.1, 0.6) + random.uniform(0, 6))
        colour = random.uniform(40, 90, 3)
        pixels = 127 + wave[:, :, None] * colour + random.normal(0, 12, (180, 200, 3))
        paths.append(os.path.join(folder, f"{i:02}.png"))
        write_png(paths[-1], pixels.clip(0, 255).astype(numpy.uint8))
    return paths


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = numpy.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors


def ours(model, output_node, pictures, folder):
    """What Thaw's network sees of the pictures, and what it says."""
    path = os.path.join(folder, "features.safetensors")
    thaw("features", model, "--at", "input", output_node, "--files", *pictures, "-o", path, "-q")
    tensors = read_safetensors(path)
    return tensors["input"], tensors[output_node].reshape(len(pictures), -1)


def softmax(logits):
    values = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def compare(what, expected, actual):
    scale = float(abs(expected).max())
    worst = float(abs(expected - actual).max())
    agree = worst <= TOLERANCE * scale and numpy.isfinite(worst)
    print(f"{'ok    ' if agree else 'FAILED'} {what}: differs by {worst:.2e}, largest logit {scale:.3g}", flush=True)
    return agree


def check(name, words, pictures, folder, classes=None):
    """`words`: of `thaw export`, without the output."""
    model = os.path.join(folder, name + ".safetensors")
    thaw("export", *words, "-o", model, "-q")
    agree = True
    image, logits = None, None
    for option in ("", "--fold", "--softmax", "--external-data"):
        path = os.path.join(folder, name + option + ".onnx")
        said = thaw("export", *words, "-o", path, "--json", *([option] if option else []))
        if image is None:
            image, logits = ours(model, said["output_node"], pictures, folder)
        onnx.checker.check_model(path, full_check=True)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        agree &= json.loads(metadata["preprocessing"])["layout"] == "NCHW"
        if classes:
            agree &= json.loads(metadata["classes"]) == classes
        for batch in (len(pictures), 1):
            (output,) = session.run(None, {"input": image[:batch]})
            expected = softmax(logits[:batch]) if option == "--softmax" else logits[:batch]
            agree &= compare(f"{name} {option or 'as it is'}, batch {batch}", expected, output)
    return agree


def fine_tune(weights, folder):
    for vertical in (False, True):
        make_pictures(os.path.join(folder, "photos", "vertical" if vertical else "horizontal"), 16, vertical, vertical)
    config = os.path.join(folder, "tuned.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"""
model: {{graph: efficientnet_lite0, weights: {weights}, size: 96}}
data: {{format: folder, root: {folder}/photos}}
batch: 8
seed: 0
name: tuned
output: {folder}
train:
  - {{stage: head, train: [head], lr: 0.1x, epochs: 2}}
  - {{stage: tune, train: [blocks.6, conv_head, head], lr: 0.05x, epochs: 1, norm: train}}
""")
    thaw("train", config, "--overwrite", "-q")
    return os.path.join(folder, "tuned")


EVERY_OP = """
model: every_op
input: {channels: 3, size: 33, mean: [0.4, 0.4, 0.4], std: [0.3, 0.3, 0.3]}
graph:
  - stem: {conv: {out: 10, kernel: 3, stride: 2, pad: [1, 0, 2, 1]}}
  - norm: batchnorm
  - a1: relu
  - same: {conv: {out: 12, kernel: 4, stride: 2, pad: same, groups: 2, bias: false}, from: stem}
  - a2: {leaky_relu: {slope: 0.2}}
  - up: {rearrange: {view: [3, 2, 2, 9, 8], order: [0, 3, 1, 4, 2], out: [3, 18, 16]}}
  - up2: {conv: {out: 10, kernel: 3, dilation: 2, pad: 2}}
  - a3: silu
  - cut: {slice: {height: [0, 17], width: [null, null, -1]}}
  - sum: {add: [cut, a1]}
  - differ: {sub: [sum, a1]}
  - ceil: {maxpool: {kernel: 3, stride: 2, pad: [0, 1, 1, 0], ceil_mode: true}}
  - avg: {avgpool: {kernel: 3, stride: 2, pad: [1, 1, 0, 0], ceil_mode: true}, from: a1}
  - avg2: {avgpool: {kernel: 3, stride: 2, pad: [0, 1, 1, 0], ceil_mode: true, count_include_pad: false}, from: a1}
  - deep: {concat: [ceil, avg, avg2]}
  - a4: gelu
  - rows: {concat: {axis: height}, from: [deep, a4]}
  - ln1: {layernorm: {axes: [channels]}}
  - ln2: {layernorm: {axes: [width, height], affine: false}}
  - in1: instancenorm
  - frame: {pad: {height: [1, 2], width: [2, 0], mode: reflect}}
  - edge: {pad: {channels: [0, 2], width: [1, 1], mode: constant, value: 0.5}}
  - slope: prelu
  - size: {scale: {shape: [32, 1, 1], init: 0.7}}
  - offset: {shift: {shape: [32, 1, 12], init: 0.1}}
  - uneven: {adaptive_avgpool: {out: [4, 3]}}
  - means: {reduce_mean: {axes: [channels, width]}, from: uneven}
  - gate: hardsigmoid
  - square: {adaptive_avgpool: {out: [4, 4]}, from: offset}
  - gated: {mul: [square, gate]}
  - a7: tanh
  - a8: {elu: {alpha: 0.7}}
  - a9: {selu: {alpha: 1.5, gamma: 1.1}}
  - a10: {celu: {alpha: 0.8}}
  - a11: softplus
  - a12: softsign
  - a13: mish
  - a14: {clip: {min: -0.2, max: 0.6}}
  - a15: {gelu: {approximate: tanh}}
  - a16: {thresholded_relu: {alpha: 0.01}}
  - a17: erf
  - a18: {hardsigmoid: {alpha: 0.3, beta: 0.4}}
  - across: {softmax: {axis: width}}
  - product: {matmul: [across, gated]}
  - logs: {log_softmax: {axis: height}}
  - pixels: {linear: {out: 32, per_pixel: true}}
  - deconv: {conv_transpose: {out: 32, kernel: 3, stride: [2, 1], pad: [1, 0, 0, 1], output_pad: [1, 0], groups: 4}}
  - zoom: {resize: {size: [11, 7], mode: linear}}
  - zoom2: {resize: {scale: [0.5, 2], mode: cubic, coordinates: align_corners}}
  - zoom3: {resize: {size: [6, 5], mode: nearest, coordinates: asymmetric, nearest: floor}}
  - one: global
  - excite: {conv: {out: 32, kernel: 1}}
  - a5: hardswish
  - flat: {linear: {out: 20}, from: gated}
  - norm2: batchnorm
  - ln3: {layernorm: {axes: [channels, height, width]}}
  - a6: relu6
  - drop: {dropout: {p: 0.3}}
  - gated2: {mul: [flat, drop]}
  - fc: {linear: {out: 7, bias: false}}
  - vector: {flatten: null, from: a5}
  - fc2: {linear: {out: 7}}
  - out: {add: [fc, fc2]}
features: vector
"""


def check_every_op(pictures, folder):
    path = os.path.join(folder, "every_op.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(EVERY_OP)
    return check("every_op", [path, "--untrained", "1"], pictures, folder)


def main():
    weights, folder, models = sys.argv[2], sys.argv[3], sys.argv[4:] or ["resnet18"]
    os.makedirs(folder, exist_ok=True)
    pictures = make_pictures(os.path.join(folder, "pictures"), PICTURES, True, 5)
    agree = check_every_op(pictures, folder)
    for model in models:
        agree &= check(model, [model, "--untrained", "1"], pictures, folder)
    agree &= check("efficientnet_lite0", ["efficientnet_lite0", "--weights", weights], pictures, folder)
    run = fine_tune(weights, folder)
    agree &= check("fine-tuned", [run], pictures, folder, ["horizontal", "vertical"])
    return 0 if agree else 1


if __name__ == "__main__":
    THAW = sys.argv[1]
    sys.exit(main())
