#!/usr/bin/env python3
"""Writes tests/golden/<model>.json: what PyTorch computes for one network of each family.

Needs PyTorch 2 and torchvision; run as `python3 tests/golden/make_goldens.py [MODEL...]`. The test only
reads the results.

Weights and images are not stored: both sides compute them, to the bit, from the name of a tensor (`fill`
below is golden_fill() of tests/support/golden.c). The network is small where that changes no code path:
small images, ten classes, dropout 0, and VGG's hidden linear layers 64 wide; `set` lists these changes
as assignments to the model's YAML.

Everything is computed in float64. What single precision must be allowed to differ is measured, not
guessed: the same computation in float32 gives, for each quantity, a difference (`..._error`), and the test
allows a multiple of it. That covers what no fixed tolerance does: gradients that are zero but for rounding
(a bias before a batch norm), statistics over few pixels, and the growth of differences over ten steps.

A tensor is summarised by its sum, its 2-norm and 16 values at the places i * count / 16. Their errors: of
the norm, the 2-norm of the difference; of the sum, that times the root of the values in a filter, whose
errors are alike; of a value, the largest difference of all values.
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

OUT = pathlib.Path(__file__).parent
SEED, BATCH, CLASSES, STEPS, MOMENTUM, SAMPLES = 2026, 4, 10, 10, 0.9, 16
STREAM_TEST = 5  # THAW_RNG_TEST


# ---- the formula ------------------------------------------------------------------------------------


def philox(counter, key):
    """Ten rounds of Philox4x32 (Salmon et al., SC 2011); `counter` is four arrays of uint64."""
    mask = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c2 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & mask, p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def uniform(name, count):
    """The first `count` draws, in [0, 1), of the stream named by the FNV-1a hash of `name`."""
    stream = 2166136261
    for byte in name.encode():
        stream = (stream ^ byte) * 16777619 & 0xFFFFFFFF
    block = np.arange((count + 3) // 4, dtype=np.uint64)
    zero = np.zeros_like(block)
    words = philox((block, zero + np.uint64(stream), zero, zero), (SEED, STREAM_TEST << 24))
    bits = np.stack(words, axis=1).reshape(-1)[:count] >> np.uint64(8)
    return bits.astype(np.float32) * np.float32(2.0**-24)


def bounds(name, shape):
    """Uniform numbers between these: He et al. 2015 for weights. Batch norms shift most of what they put out
    above zero: with a shift of 0, single precision puts a handful of activations on the other side of the
    ReLU than double precision, each of which moves gradients by 1e-2; so, all agree to 1e-5, and some
    percent of the activations are still cut off."""
    if name == "input":
        return -2.0, 2.0
    if name.endswith("running_mean"):
        return -0.25, 0.25
    if name.endswith("running_var") or name.endswith("bias"):
        return 0.5, 1.5
    if len(shape) == 1:
        return 0.2, 0.6
    bound = math.sqrt(6.0 / math.prod(shape[1:]))
    return -bound, bound


def fill(name, shape):
    low, high = (np.float32(b) for b in bounds(name, shape))
    values = low + (high - low) * uniform(name, math.prod(shape))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


# ---- EfficientNet-Lite0 -----------------------------------------------------------------------------


class SameConv(nn.Conv2d):
    """TensorFlow's `same`: the output is ceil(size / stride), an odd pixel of padding is at the end."""

    def forward(self, x):
        pad = []
        for size, kernel, stride in ((x.shape[3], self.kernel_size[1], self.stride[1]),
                                     (x.shape[2], self.kernel_size[0], self.stride[0])):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pad += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pad), self.weight, None, self.stride, 0, 1, self.groups)


def conv(inputs, outputs, kernel=1, stride=1, groups=1):
    return SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1)  # timm: 0.01; the model file follows fine-tuning


class Separable(nn.Module):
    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.conv_dw, self.bn1 = conv(inputs, inputs, kernel, 1, inputs), norm(inputs)
        self.conv_pw, self.bn2 = conv(inputs, outputs), norm(outputs)

    def forward(self, x):
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        middle = 6 * inputs
        self.conv_pw, self.bn1 = conv(inputs, middle), norm(middle)
        self.conv_dw, self.bn2 = conv(middle, middle, kernel, stride, middle), norm(middle)
        self.conv_pwl, self.bn3 = conv(middle, outputs), norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        y = F.relu6(self.bn1(self.conv_pw(x)))
        y = F.relu6(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Names of timm's tf_efficientnet_lite0."""

    STAGES = ((3, 2, 24, 2), (5, 2, 40, 2), (3, 2, 80, 3), (5, 1, 112, 3), (5, 2, 192, 4), (3, 1, 320, 1))

    def __init__(self):
        super().__init__()
        self.conv_stem, self.bn1 = conv(3, 32, 3, 2), norm(32)
        stages, channels = [nn.Sequential(Separable(32, 16, 3))], 16
        for kernel, stride, outputs, repeats in self.STAGES:
            stage = []
            for index in range(repeats):
                stage.append(Inverted(channels, outputs, kernel, stride if index == 0 else 1))
                channels = outputs
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = conv(320, 1280), norm(1280)
        self.classifier = nn.Linear(1280, CLASSES)

    def forward(self, x):
        x = self.blocks(F.relu6(self.bn1(self.conv_stem(x))))
        x = F.relu6(self.bn2(self.conv_head(x)))
        return self.classifier(x.mean((2, 3)))


# ---- MobileNetV1, DarkNet ------------------------------------------------------------------------------------


class MobileNetV1(nn.Module):
    """Names of timm's mobilenetv1_100."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv_dw = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
            self.bn1 = nn.BatchNorm2d(inputs)
            self.conv_pw, self.bn2 = nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)

        def forward(self, x):
            return F.relu6(self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x))))))

    def __init__(self):
        super().__init__()
        self.conv_stem, self.bn1 = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)
        stages, channels = [], 32
        for outputs, repeats in ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2)):
            stage = []
            for index in range(repeats):
                stage.append(self.Block(channels, outputs, 2 if index == 0 and outputs > 64 else 1))
                channels = outputs
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.classifier = nn.Linear(1024, CLASSES)

    def forward(self, x):
        return self.classifier(self.blocks(F.relu6(self.bn1(self.conv_stem(x)))).mean((2, 3)))


class DarkUnit(nn.Module):
    def __init__(self, inputs, outputs, kernel=3, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-5)

    def forward(self, x):
        return F.leaky_relu(self.bn(self.conv(x)), 0.1)


class DarkNet19(nn.Module):
    """Darknet's darknet19.cfg: the classifier is a convolution, averaged after it."""

    LAYERS = (32, "max", 64, "max", 128, -64, 128, "max", 256, -128, 256, "max", 512, -256, 512, -256, 512, "max",
              1024, -512, 1024, -512, 1024)  # negative: a 1x1 convolution

    def __init__(self):
        super().__init__()
        inputs, self.order = 3, []
        for layer in self.LAYERS:
            if layer != "max":
                name = f"conv{sum(n != 'max' for n in self.order) + 1}"
                setattr(self, name, DarkUnit(inputs, abs(layer), 3 if layer > 0 else 1))
                inputs = abs(layer)
            self.order.append(layer if layer == "max" else name)
        self.conv19 = nn.Conv2d(inputs, CLASSES, 1)

    def forward(self, x):
        for name in self.order:
            x = F.max_pool2d(x, 2, 2) if name == "max" else getattr(self, name)(x)
        return self.conv19(x).mean((2, 3))


class DarkNet53(nn.Module):
    """Darknet's darknet53.cfg."""

    STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))

    def __init__(self):
        super().__init__()
        self.conv1, number = DarkUnit(3, 32), 1
        for width, repeats in self.STAGES:
            units = [DarkUnit(width // 2, width, 3, 2)]
            for _ in range(repeats):
                units += [DarkUnit(width, width // 2, 1), DarkUnit(width // 2, width)]
            for unit in units:
                number += 1
                setattr(self, f"conv{number}", unit)
        self.conv53 = nn.Conv2d(1024, CLASSES, 1)

    def forward(self, x):
        x, number = self.conv1(x), 2
        for _, repeats in self.STAGES:
            x, number = getattr(self, f"conv{number}")(x), number + 1
            for _ in range(repeats):
                x, number = x + getattr(self, f"conv{number + 1}")(getattr(self, f"conv{number}")(x)), number + 2
        return self.conv53(x.mean((2, 3), keepdim=True)).flatten(1)


# ---- the networks -----------------------------------------------------------------------------------


def vgg11_bn():
    model = torchvision.models.vgg11_bn(dropout=0.0)
    model.classifier[0], model.classifier[3] = nn.Linear(512 * 49, 64), nn.Linear(64, 64)
    model.classifier[6] = nn.Linear(64, CLASSES)
    return model


def alexnet():
    model = torchvision.models.alexnet(dropout=0.0)
    model.classifier[1], model.classifier[4] = nn.Linear(256 * 36, 64), nn.Linear(64, 64)
    model.classifier[6] = nn.Linear(64, CLASSES)
    return model


def usual_momentum(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # torchvision: less; the model file follows fine-tuning
    return model


def mnasnet():
    return usual_momentum(torchvision.models.mnasnet1_0(num_classes=CLASSES, dropout=0.0))


def mobilenet_v3_small():
    return usual_momentum(torchvision.models.mobilenet_v3_small(num_classes=CLASSES, dropout=0.0))


MODELS = {  # how to make it, image size, lr, changes of the YAML
    "vgg11_bn": (vgg11_bn, 64, 0.0002, [
        "graph.2.classifier.nodes.0.0.linear.out=64", "graph.2.classifier.nodes.3.3.linear.out=64",
        "graph.2.classifier.nodes.2.2.dropout.p=0", "graph.2.classifier.nodes.5.5.dropout.p=0"]),
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=CLASSES), 64, 0.002, []),
    "resnet50": (lambda: torchvision.models.resnet50(num_classes=CLASSES), 64, 0.0002, []),
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(num_classes=CLASSES, dropout=0.0), 64, 0.002,
                     ["graph.2.classifier.nodes.0.0.dropout.p=0"]),
    "efficientnet_lite0": (EfficientNetLite0, 72, 0.002, ["graph.8.dropout.p=0"]),
    "alexnet": (alexnet, 64, 0.00002, [
        "graph.2.classifier.nodes.1.1.linear.out=64", "graph.2.classifier.nodes.4.4.linear.out=64",
        "graph.2.classifier.nodes.0.0.dropout.p=0", "graph.2.classifier.nodes.3.3.dropout.p=0"]),
    "densenet121": (lambda: torchvision.models.densenet121(num_classes=CLASSES), 64, 0.0002, []),
    "efficientnet_b0": (lambda: torchvision.models.efficientnet_b0(
        num_classes=CLASSES, dropout=0.0, stochastic_depth_prob=0.0), 64, 0.002,
        ["graph.2.classifier.nodes.0.0.dropout.p=0"]),
    "googlenet": (lambda: torchvision.models.googlenet(
        num_classes=CLASSES, aux_logits=False, init_weights=False, dropout=0.0), 96, 0.001, ["graph.17.dropout.p=0"]),
    "inception_v3": (lambda: torchvision.models.inception_v3(
        num_classes=CLASSES, aux_logits=False, init_weights=False, dropout=0.0), 112, 0.0005, ["graph.19.dropout.p=0"]),
    "squeezenet1_0": (lambda: torchvision.models.squeezenet1_0(num_classes=CLASSES, dropout=0.0), 64, 0.000002,
                      ["graph.1.classifier.nodes.0.0.dropout.p=0"]),
    "squeezenet1_1": (lambda: torchvision.models.squeezenet1_1(num_classes=CLASSES, dropout=0.0), 64, 0.000005,
                      ["graph.1.classifier.nodes.0.0.dropout.p=0"]),
    "mobilenet_v3_small": (mobilenet_v3_small, 64, 0.001, ["graph.2.classifier.nodes.2.2.dropout.p=0"]),
    "regnet_y_400mf": (lambda: torchvision.models.regnet_y_400mf(num_classes=CLASSES), 64, 0.0001, []),
    "mnasnet1_0": (mnasnet, 64, 0.0005, ["graph.2.classifier.nodes.0.0.dropout.p=0"]),
    "resnext50_32x4d": (lambda: torchvision.models.resnext50_32x4d(num_classes=CLASSES), 64, 0.0002, []),
    "mobilenet_v1": (MobileNetV1, 64, 0.002, []),
    "darknet19": (DarkNet19, 64, 0.0005, []),
    "darknet53": (DarkNet53, 64, 0.0001, []),
    "shufflenet_v2_x1_0": (lambda: torchvision.models.shufflenet_v2_x1_0(num_classes=CLASSES), 64, 0.0005, []),
    "wide_resnet50_2": (lambda: torchvision.models.wide_resnet50_2(num_classes=CLASSES), 64, 0.0002, []),
    "convnext_tiny": (lambda: torchvision.models.convnext_tiny(
        num_classes=CLASSES, stochastic_depth_prob=0.0), 64, 0.0002, []),
}
FEWER_SAMPLES = {"convnext_tiny", "darknet19", "darknet53", "densenet121", "efficientnet_b0", "googlenet", "inception_v3",
                 "mnasnet1_0", "mobilenet_v1", "mobilenet_v3_small", "regnet_y_400mf", "resnext50_32x4d",
                 "shufflenet_v2_x1_0", "wide_resnet50_2"}


# ---- what they compute ------------------------------------------------------------------------------


def prepare(make, dtype):
    model = make()
    state = model.state_dict()
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked"):
            state[name] = fill(name, tuple(tensor.shape))
    model.load_state_dict(state)
    return model.to(dtype)


def compute(make, size, lr, dtype):
    """All quantities, by name, as float64 arrays."""
    torch.set_num_threads(1)
    model, out = prepare(make, dtype), {}
    images = fill("input", (BATCH, 3, size, size)).to(dtype)
    labels = torch.tensor([7 * i % CLASSES for i in range(BATCH)])
    with torch.no_grad():
        out["eval"] = model.eval()(images)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr, MOMENTUM)
    losses = []
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        losses.append(loss.detach())
        loss.backward()
        if step == 0:
            out["train"] = logits.detach()
            for name, tensor in model.named_parameters():
                out["gradients", name] = tensor.grad.clone()
            for name, tensor in model.named_buffers():
                if not name.endswith("num_batches_tracked"):
                    out["statistics", name] = tensor.clone()
        optimizer.step()
    out["losses"] = torch.stack(losses)
    return {key: value.double().numpy().reshape(-1) for key, value in out.items()}


def number(value):
    return float(f"{value:.8g}")


def whole(exact, single):
    return {"at": [number(v) for v in exact], "at_error": number(np.abs(exact - single).max())}


def summary(exact, single, filters, samples):
    count, difference = len(exact), exact - single
    samples = min(samples, count)
    places = [i * count // samples for i in range(samples)]
    norm_error = np.sqrt((difference**2).sum())
    return {"count": count,
            "sum": number(exact.sum()), "sum_error": number(norm_error * math.sqrt(count / filters)),
            "norm": number(np.sqrt((exact**2).sum())), "norm_error": number(norm_error),
            **whole(exact[places], exact[places]), "at_error": number(np.abs(difference).max())}


def write(name):
    make, size, lr, changes = MODELS[name]
    exact, single = (compute(make, size, lr, dtype) for dtype in (torch.float64, torch.float32))
    state = make().state_dict()
    golden = {"model": name, "set": changes, "seed": SEED, "batch": BATCH, "size": size, "classes": CLASSES,
              "lr": lr, "momentum": MOMENTUM}
    for key in ("eval", "train", "losses"):
        golden[key] = whole(exact[key], single[key])
    for group in ("gradients", "statistics"):
        golden[group] = {key[1]: summary(exact[key], single[key], state[key[1]].shape[0],
                                         4 if name in FEWER_SAMPLES else SAMPLES)
                         for key in exact if key[0] == group}
    text = json.dumps(golden, separators=(",", ":"))
    for group in ("gradients", "statistics"):  # a line for each tensor
        for key in golden[group]:
            text = text.replace(f'"{key}":{{', f'\n"{key}":{{')
    (OUT / f"{name}.json").write_text(text + "\n")
    report(name, golden)


def report(name, golden):
    """How well conditioned the golden is: float32 errors relative to the size of the quantity."""
    relative = {key: golden[key]["at_error"] / np.abs(golden[key]["at"]).max()
                for key in ("eval", "train", "losses")}
    worst = max((g["norm_error"] / g["norm"], key) for key, g in golden["gradients"].items()
                if g["norm"] > 1e-9)
    print(name, {k: f"{v:.1e}" for k, v in relative.items()}, f"worst gradient {worst[0]:.1e} {worst[1]}")
    print("  losses", golden["losses"]["at"], f"+- {golden['losses']['at_error']:.1e}")


for name in sys.argv[1:] or MODELS:
    write(name)
