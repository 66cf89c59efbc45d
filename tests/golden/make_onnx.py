#!/usr/bin/env python3
"""Writes tests/golden/onnx/: small networks as exporters write them, and what onnxruntime computes of them.

Needs torch, onnx and onnxruntime; `keras` also TensorFlow and tf2onnx. Run as
`python3 tests/golden/make_onnx.py [NAME...]`. NAME.safetensors holds `x`, pictures (N, C, H, W), and `y`, the logits:
the output, or what goes into a Softmax at its end. The tests only read the results.
"""
import json
import os
import pathlib
import struct
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OUT = pathlib.Path(__file__).parent / "onnx"


# ---- what is compared ------------------------------------------------------------------------------------------------

def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        bits = np.ascontiguousarray(tensor, dtype=np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(bits)]}
        data += bits
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def logits_of(model):
    output = model.graph.output[0].name
    for node in model.graph.node:
        if output in node.output and node.op_type == "Softmax":
            return node.input[0]
    return output


def write_expected(name, nhwc=False, size=32, channels=3):
    """Runs NAME.onnx on two pictures."""
    path = OUT / f"{name}.onnx"
    model = onnx.load(path)
    wanted = logits_of(model)
    if wanted != model.graph.output[0].name:
        model.graph.output.append(helper.make_tensor_value_info(wanted, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0]
    count = first.shape[0] if isinstance(first.shape[0], int) else 2
    x = np.random.default_rng(7).uniform(-1, 1, (count, channels, size, size)).astype(np.float32)
    y = session.run([wanted], {first.name: x.transpose(0, 2, 3, 1) if nhwc else x})[0]
    write_safetensors(OUT / f"{name}.safetensors", {"x": x, "y": y})
    print(f"{name}: {path.stat().st_size} bytes, opset {model.opset_import[0].version}, "
          f"{len(model.graph.node)} nodes, logits up to {np.abs(y).max():.3g}")


# ---- PyTorch ---------------------------------------------------------------------------------------------------------

def seed_norms(model):
    import torch
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)


def export_torch(name, model, opset, dynamic=True, **more):
    import torch
    x = torch.zeros(1, 3, 32, 32)
    axes = {"x": {0: "batch"}} if dynamic else None
    torch.onnx.export(model.eval(), x, str(OUT / f"{name}.onnx"), input_names=["x"], output_names=["y"],
                      opset_version=opset, dynamo=False, dynamic_axes=axes, **more)


def residual():
    """Blocks of ResNet, MobileNetV3 and ShuffleNetV2 with their batch norms, as PyTorch exports them."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    torch.manual_seed(1)

    class Basic(nn.Module):
        def __init__(self, i, o, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
            self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
            self.downsample = None
            if stride != 1 or i != o:
                self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

        def forward(self, x):
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(y + (x if self.downsample is None else self.downsample(x)))

    class Gate(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.fc1, self.fc2 = nn.Conv2d(c, 4, 1), nn.Conv2d(4, c, 1)

        def forward(self, x):
            return x * F.hardsigmoid(self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))))

    class Shuffle(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.branch = nn.Sequential(nn.Conv2d(c // 2, c // 2, 3, 1, 1, groups=c // 2), nn.BatchNorm2d(c // 2),
                                        nn.Hardswish())

        def forward(self, x):
            a, b = x.chunk(2, dim=1)
            y = torch.cat((a, self.branch(b)), dim=1)
            n, c, h, w = y.shape
            return y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8)
            self.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
            self.layer1 = Basic(8, 8, 1)
            self.layer2 = nn.Sequential(Basic(8, 16, 2), Gate(16))
            self.layer3 = nn.Sequential(Shuffle(16), nn.AvgPool2d(2, 1), nn.Conv2d(16, 24, 1), nn.SiLU())
            self.dropout, self.fc = nn.Dropout(0.2), nn.Linear(24, 5)

        def forward(self, x):
            x = self.maxpool(F.relu6(self.bn1(self.conv1(x))))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.fc(self.dropout(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)))

    net = Net()
    seed_norms(net)
    export_torch("residual", net, 17, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    write_expected("residual")


def convnext():
    """Layer norm, linear layers and layer scale on channels-last maps; a fixed batch of one picture."""
    import torch
    from torch import nn
    torch.manual_seed(2)

    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.dwconv, self.norm = nn.Conv2d(c, c, 7, padding=3, groups=c), nn.LayerNorm(c, eps=1e-6)
            self.pwconv1, self.pwconv2 = nn.Linear(c, 2 * c), nn.Linear(2 * c, c)
            self.gamma = nn.Parameter(torch.rand(c) + 0.5)
            nn.init.uniform_(self.norm.weight, 0.5, 1.5)
            nn.init.uniform_(self.norm.bias, -0.2, 0.2)

        def forward(self, x):
            y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
            y = self.gamma * self.pwconv2(nn.functional.gelu(self.pwconv1(y)))
            return x + y.permute(0, 3, 1, 2)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.block1 = nn.Conv2d(3, 8, 4, 4), Block(8)
            self.down, self.block2 = nn.Conv2d(8, 12, 2, 2), Block(12)
            self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 5)

        def forward(self, x):
            x = self.block2(self.down(self.block1(self.stem(x))))
            return self.head(self.norm(x.mean([-2, -1])))

    export_torch("convnext", Net(), 17, dynamic=False)
    write_expected("convnext")


# ---- Keras -----------------------------------------------------------------------------------------------------------

def keras():
    """A small VGG with batch norm behind a dense layer, through tf2onnx: NHWC input, transposes, Flatten through Shape,
    Gather, Concat and Reshape, batch norm as Mul and Add."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import tensorflow
    import tf2onnx
    from tensorflow.keras import Input, Model, layers, utils
    utils.set_random_seed(1)
    random = np.random.default_rng(3)
    x = picture = Input((32, 32, 3))
    for block, (convs, channels) in enumerate([(2, 8), (2, 12), (3, 16)], 1):
        for i in range(convs):
            x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"block{block}_conv{i + 1}")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = layers.Dense(24, activation="relu", name="fc1")(layers.Flatten(name="flatten")(x))
    x = layers.BatchNormalization(name="fc1_bn")(x)
    model = Model(picture, layers.Dense(5, activation="softmax", name="predictions")(x))
    for layer in model.layers:
        values = layer.get_weights()
        if isinstance(layer, layers.BatchNormalization):
            low, high = [0.5, -0.3, -0.2, 0.5], [1.5, 0.3, 0.2, 1.5]
            values = [random.uniform(a, b, v.shape) for a, b, v in zip(low, high, values)]
        elif values:
            values = [values[0], random.uniform(-0.2, 0.2, values[1].shape)]
        layer.set_weights(values)
    signature = (tensorflow.TensorSpec((None, 32, 32, 3), tensorflow.float32, name="input"),)
    function = tensorflow.function(lambda x: model(x, training=False), input_signature=signature)
    tf2onnx.convert.from_function(function, input_signature=signature, opset=13,
                                  output_path=str(OUT / "keras.onnx"))
    write_expected("keras", nhwc=True)


# ---- by hand ---------------------------------------------------------------------------------------------------------

class Builder:
    """Nodes and initializers; `listed`: initializers are inputs, too, as before IR version 4."""

    def __init__(self, seed, listed=False):
        self.random, self.nodes, self.initializers, self.listed = np.random.default_rng(seed), [], [], listed
        self.last = "x"

    def tensor(self, name, values, raw=True, dtype=None):
        values = np.asarray(values)
        if raw:
            tensor = numpy_helper.from_array(values if dtype is None else values.astype(dtype), name)
        else:  # in the field of its type
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            tensor = helper.make_tensor(name, kind, values.shape, values.flatten().tolist())
        self.initializers.append(tensor)
        return name

    def weights(self, name, *shape, **more):
        scale = 1.2 / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 4)
        return self.tensor(name, self.random.uniform(-scale, scale, shape).astype(np.float32), **more)

    def ints(self, name, values):
        return self.tensor(name, np.asarray(values, dtype=np.int64))

    def op(self, kind, *inputs, outputs=None, **attributes):
        outputs = outputs or [f"v{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, [self.last if i is None else i for i in inputs], outputs,
                                           **attributes))
        self.last = outputs[0]
        return self.last

    def save(self, name, opset, shape, **more):
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        if self.listed:
            inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in self.initializers]
        output = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, name, inputs, [output], self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4 if opset < 13 else 8)
        onnx.save(model, str(OUT / f"{name}.onnx"), **more)


def old():
    """Opset 7: attributes that are inputs today, tensors in typed fields, half-precision weights."""
    b = Builder(4, listed=True)
    b.op("Sub", None, b.tensor("mean", np.float32([[[[0.1]], [[0.2]], [[-0.1]]]])))
    b.op("Mul", None, b.tensor("scale", np.float32([2.0])))
    b.op("Pad", None, pads=[0, 0, 1, 1, 0, 0, 2, 2], mode="constant", value=0.0)
    b.tensor("w0h", b.random.uniform(-0.3, 0.3, (8, 3, 3, 3)), dtype=np.float16)
    b.nodes.append(helper.make_node("Cast", ["w0h"], ["w0"], to=TensorProto.FLOAT))
    b.op("Conv", None, "w0", b.weights("b0", 8, raw=False), strides=[2, 2], kernel_shape=[3, 3])
    b.op("PRelu", None, b.tensor("slope", np.float32(b.random.uniform(0.1, 0.4, (8, 1, 1)))))
    first = b.op("Conv", None, b.weights("w1", 8, 8, 3, 3, raw=False), auto_pad="SAME_UPPER")
    second = b.op("LeakyRelu", first, alpha=0.2)
    third = b.op("Clip", first, min=-0.5, max=0.5)
    b.op("Sum", first, second, third)
    b.op("AveragePool", None, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER")
    b.op("Elu", None, alpha=0.7)
    b.op("Upsample", None, mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
    b.op("BatchNormalization", None, b.tensor("g", np.float32(b.random.uniform(0.5, 1.5, 8))), b.weights("h", 8),
         b.weights("m", 8), b.tensor("v", np.float32(b.random.uniform(0.5, 1.5, 8)), raw=False), epsilon=1e-3)
    b.op("Slice", None, axes=[2, 3], starts=[1, 0], ends=[-1, 100])
    b.op("ReduceMean", None, axes=[3], keepdims=0)
    b.op("Unsqueeze", None, axes=[3])
    b.op("Squeeze", None, axes=[3])
    b.op("Reshape", None, b.ints("flat", [0, -1]))
    b.op("Dropout", None, ratio=0.5)
    b.op("Gemm", None, b.weights("w2", 8 * 16, 5), b.weights("b2", 5), alpha=0.5, beta=2.0)
    b.op("Softmax", None, axis=1)
    b.save("old", 7, ["N", 3, 32, 32])
    write_expected("old")


def new():
    """Opset 21: attributes that became inputs, height and width left open."""
    b = Builder(5)
    b.op("Conv", None, b.weights("conv.weight", 12, 3, 3, 3), b.weights("conv.bias", 12), pads=[1, 1, 1, 1],
         strides=[2, 2])
    parts = [f"part{i}" for i in range(3)]
    b.op("Split", None, outputs=parts, axis=1, num_outputs=3)
    a = b.op("HardSwish", parts[0])
    c = b.op("Sub", b.op("Tanh", parts[1]), parts[2])
    d = b.op("Slice", parts[2], b.ints("starts", [-1]), b.ints("ends", [-100]), b.ints("axes", [1]),
             b.ints("steps", [-1]))
    b.op("Concat", a, c, d, axis=-3)
    b.op("Pad", None, b.ints("pads", [1, 0, 0, 2]), "", b.ints("pad_axes", [-2, -1]), mode="reflect")
    b.op("InstanceNormalization", None, b.tensor("s", np.float32(b.random.uniform(0.5, 1.5, 12))), b.weights("o", 12))
    b.op("ConvTranspose", None, b.weights("up", 12, 6, 3, 3), b.weights("up_bias", 6), strides=[2, 2],
         pads=[1, 1, 1, 1], output_padding=[1, 1])
    b.op("Resize", None, "", "", b.ints("sizes", [20, 22]), axes=[2, 3], mode="linear",
         coordinate_transformation_mode="half_pixel")
    b.op("MaxPool", None, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, dilations=[1, 1])
    query = b.op("Reshape", None, b.ints("rows", [0, 2, 3, -1]), allowzero=0)
    key = b.op("Transpose", query, perm=[0, 1, 3, 2])
    b.op("Softmax", b.op("MatMul", query, key), axis=-1)
    b.op("Clip", b.op("Mish", None), b.tensor("low", np.float32(0.1)), b.tensor("high", np.float32(0.9)))
    b.op("ReduceMean", None, b.ints("mean_axes", [3]), keepdims=1)
    b.op("Flatten", None, axis=1)
    b.op("Gemm", None, b.weights("head.weight", 5, 6), b.weights("head.bias", 5), transB=1)
    b.save("new", 21, ["N", 3, "H", "W"])
    write_expected("new")


def external():
    """Tensors in a file beside the model, one channel."""
    b = Builder(6)
    b.op("Conv", None, b.weights("conv.weight", 6, 1, 3, 3), b.weights("conv.bias", 6))
    b.op("Relu", None)
    b.op("GlobalMaxPool", None)
    b.op("Flatten", None)
    b.op("MatMul", None, b.weights("fc.kernel", 6, 5))
    b.op("Add", None, b.weights("fc.shift", 5))
    (OUT / "external.data").unlink(missing_ok=True)
    b.save("external", 15, [1, 1, 16, 16], save_as_external_data=True, location="external.data", size_threshold=0)
    write_expected("external", size=16, channels=1)


MODELS = [residual, convnext, keras, old, new, external]

if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for model in MODELS:
        if model.__name__ in (sys.argv[1:] or [m.__name__ for m in MODELS]):
            model()
