#!/usr/bin/env python3
"""Writes tests/golden/pth/: small PyTorch files and, as safetensors, what is in them.

Needs PyTorch 2; run as `python3 tests/golden/make_pth.py`. The tests only read the results.
"""
import builtins
import collections
import io
import json
import os
import pathlib
import pickle
import struct
import zipfile

import torch

OUT = pathlib.Path(__file__).parent / "pth"
DTYPES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}


def write_safetensors(path, tensors):
    """The format by hand, so that the reference does not depend on what is tested."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        bits = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(bits)]}
        data += bits
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def state_dict():
    values = torch.linspace(-2, 2, 24)
    shared = torch.arange(10, dtype=torch.float32)
    return collections.OrderedDict([
        ("f32", values.reshape(2, 3, 4)),
        ("f16", torch.tensor([0.0, -0.0, 1.5, 65504, 6e-8, 1e-5, float("inf"), -float("inf")]).half()),
        ("bf16", (values * 1e20).bfloat16()),
        ("f64", values.double() / 3),
        ("i64", torch.tensor([-(2**62), -1, 0, 1, 2**40])),
        ("i32", torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32)),
        ("i16", torch.tensor([-300, 300], dtype=torch.int16)),
        ("i8", torch.tensor([-128, 127], dtype=torch.int8)),
        ("u8", torch.tensor([0, 255], dtype=torch.uint8)),
        ("bool", torch.tensor([True, False, True])),
        ("shared.first", shared[:4]),
        ("shared.last", shared[6:]),
        ("strided.transposed", values.reshape(4, 6).t()),
        ("strided.permuted", values.reshape(2, 3, 4).permute(2, 0, 1)[1:, :, ::2]),
        ("strided.channels_last",
         values.reshape(1, 3, 4, 2).contiguous(memory_format=torch.channels_last)),
        ("parameter", torch.nn.Parameter(values[:5].clone())),
        ("scalar", torch.tensor(42)),
        ("empty", torch.empty(0, 3)),
        ("expanded", torch.tensor([7.0]).expand(3)),
    ])


def nested(tensors):
    """The same with the dotted names as dictionaries in dictionaries."""
    root = {}
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        place = root
        for key in path:
            place = place.setdefault(key, {})
        place[last] = tensor
    return root


def big_endian(source, target):
    """Rewrites a zip file as a big-endian machine would have written it."""
    keyed = {}
    unpickler = pickle._Unpickler
    with zipfile.ZipFile(source) as old:
        names = old.namelist()
        root = next(name for name in names if name.endswith("data.pkl"))[:-len("data.pkl")]

        class Reader(unpickler):
            def persistent_load(self, pid):
                keyed[pid[2]] = pid[1].dtype.itemsize
                return torch.storage.TypedStorage(
                    wrap_storage=torch.UntypedStorage(pid[4] * pid[1].dtype.itemsize),
                    dtype=pid[1].dtype, _internal=True)

            def find_class(self, module, name):
                if name.endswith("Storage"):
                    return torch.serialization.StorageType(name)
                return super().find_class(module, name)

        Reader(io.BytesIO(old.read(root + "data.pkl"))).load()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
            for name in names:
                data = old.read(name)
                if name == root + "byteorder":
                    data = b"big"
                elif name.startswith(root + "data/"):
                    size = keyed[name[len(root + "data/"):]]
                    data = b"".join(data[i:i + size][::-1] for i in range(0, len(data), size))
                new.writestr(name, data)


def python2(path):
    """A legacy file as Python 2 wrote it: byte strings, OrderedDict of pairs, a storage view."""
    def text(value):
        return b"U" + bytes([len(value)]) + value.encode()

    def tensor(view):
        storage = (b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("7") + text("cpu")
                   + b"K\x06" + view + b"tQ")
        return (b"ctorch._utils\n_rebuild_tensor\n(" + storage
                + b"K\x00(K\x02K\x01t(K\x01K\x01ttR")

    view = b"(" + text("8") + b"K\x02K\x03t"
    state = (b"\x80\x02ccollections\nOrderedDict\n(]("
             + b"](" + text("a.weight") + tensor(b"N") + b"e"
             + b"](" + text("b.weight") + tensor(view) + b"e"
             + b"etR.")
    out = b""
    for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        out += pickle.dumps(value, 2)
    out += state + pickle.dumps(["7"], 2)
    out += struct.pack("<q6f", 6, *range(6))
    path.write_bytes(out)
    write_safetensors(path.with_suffix(".safetensors"), {
        "a.weight": torch.tensor([[0.0], [1.0]]), "b.weight": torch.tensor([[2.0], [3.0]])})


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def main():
    OUT.mkdir(exist_ok=True)
    tensors = state_dict()
    write_safetensors(OUT / "reference.safetensors", tensors)
    torch.save(tensors, OUT / "zip.pth")
    torch.save(tensors, OUT / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(nested(tensors), OUT / "nested.pth", pickle_protocol=4)
    torch.save(nested(tensors), OUT / "nested_legacy.pth", pickle_protocol=5,
               _use_new_zipfile_serialization=False)
    big_endian(OUT / "zip.pth", OUT / "big_endian.pth")
    python2(OUT / "python2.pth")

    model = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(3, 2),
                                                      torch.nn.BatchNorm1d(2)))
    torch.manual_seed(1)
    torch.nn.init.normal_(model.module[0].weight)
    torch.nn.init.normal_(model.module[0].bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
    checkpoint = {"epoch": 3, "arch": "tiny", "state_dict": model.state_dict(), "best": 0.5,
                  "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, OUT / "checkpoint.pth")
    write_safetensors(OUT / "checkpoint.safetensors", model.module.state_dict())

    for form in (True, False):
        end = "" if form else "_legacy"
        for name, value in (("system", Hostile(os.system, "true")),
                            ("eval", Hostile(builtins.eval, "1"))):
            torch.save({"weight": torch.ones(2), "x": value}, OUT / f"hostile_{name}{end}.pth",
                       _use_new_zipfile_serialization=form, pickle_protocol=2 if form else 4)
    torch.save(torch.nn.Linear(1, 1), OUT / "model.pth")
    torch.save(torch.ones(2), OUT / "tensor.pth")
    torch.save({"epoch": 1}, OUT / "no_tensors.pth")
    torch.save({"c": torch.ones(2, dtype=torch.complex64)}, OUT / "complex.pth")


if __name__ == "__main__":
    main()
