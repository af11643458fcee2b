"""Writes checkpoints into the folder that is its argument, and beside each NAME a NAME.json of what torch.load
makes of it: names, types, shapes and the bytes' SHA-256. Run by TestAgainstTorch where Python has torch; nothing of
it is kept."""
import collections, hashlib, json, pathlib, pickle, sys
import numpy as np, torch

out = pathlib.Path(sys.argv[1])
g = torch.Generator().manual_seed(1)
R = lambda *s: torch.randn(*s, generator=g)


def flat(name, v, into):
    if isinstance(v, torch.Tensor):
        into[name or "tensor"] = v.detach()
    elif isinstance(v, np.ndarray):
        into[name or "tensor"] = torch.from_numpy(np.ascontiguousarray(v))
    elif isinstance(v, dict):
        for k, x in v.items():
            flat(f"{name}.{k}" if name else str(k), x, into)
    elif isinstance(v, (list, tuple)):
        for i, x in enumerate(v):
            flat(f"{name}.{i}" if name else str(i), x, into)


TYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
if hasattr(torch, "float8_e4m3fn"):
    TYPES |= {torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}


def note(name, root):
    into = {}
    flat("", root, into)
    said = {}
    for k, t in into.items():
        raw = t.contiguous().reshape(-1).view(torch.uint8 if t.element_size() == 1 else torch.int16 if t.element_size() == 2 else t.dtype).numpy().tobytes() if t.numel() else b""
        said[k] = dict(dtype=TYPES[t.dtype], shape=list(t.shape), sha256=hashlib.sha256(raw).hexdigest())
    (out / (name + ".json")).write_text(json.dumps(said))


def torch_file(name, value, root=None, **kw):
    torch.save(value, out / name, **kw)
    back = torch.load(out / name, **({} if torch.__version__ < "2" else {"weights_only": False}))
    note(name, root(back) if root else back)


def numpy_file(name, value, protocol):
    (out / name).write_bytes(pickle.dumps(value, protocol=protocol))
    note(name, pickle.loads((out / name).read_bytes()))


old = dict(_use_new_zipfile_serialization=False)
base = R(6, 10)
torch_file("dict.pt", {"a": R(3, 4), "b": R(5)})
torch_file("half.pt", {"a": R(3, 4).half(), "b": R(5).bfloat16(), "c": R(5).double()})
torch_file("ints.pt", {str(t): torch.arange(7).to(t) for t in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)})
if hasattr(torch, "float8_e4m3fn"):
    torch_file("float8.pt", {"a": R(8).to(torch.float8_e4m3fn), "b": R(8).to(torch.float8_e5m2)})
torch_file("shared.pt", {"a": base, "b": base, "c": base[2:4], "d": base.T, "e": base[:, ::3], "f": base[1, 2]})
torch_file("expanded.pt", {"a": R(1, 5).expand(4, 5), "b": R(1)[0], "empty": torch.zeros(0, 3)})
torch_file("permuted.pt", {"a": R(2, 3, 4, 5).permute(0, 2, 3, 1), "channels": R(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)})
torch_file("ordered.pt", collections.OrderedDict(a=R(2), b=R(3)))
module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Conv1d(3, 2, 3))
torch_file("module.bin", module.state_dict())
torch_file("parameters.pt", {k: v for k, v in module.named_parameters()})
torch_file("lightning.ckpt", {"epoch": 3, "global_step": 7, "pytorch-lightning_version": "1.4.2", "state_dict": module.state_dict(),
                              "callbacks": {}, "lr": 1e-4, "hyper": {"a": [1, 2.5, None, True, "x"]}}, root=lambda d: d["state_dict"])
torch_file("nested.pt", {"optimizer": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": R(3)}}, "groups": [{"lr": 0.1, "params": [0, 1]}]}, "x": R(2)})
torch_file("embedding.pt", {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": R(2, 8)}, "name": "s", "step": 499})
torch_file("tensor.pt", R(2, 2))
torch_file("list.pt", [R(2), (R(3), {"a": R(1)})])
torch_file("legacy.pth", {"a": R(3, 4), "b": R(5).half(), "c": base[2:4], "d": base.T, "e": base}, **old)
torch_file("legacy_module.pth", {"state_dict": module.state_dict(), "epoch": 3}, root=lambda d: d["state_dict"], **old)
torch_file("protocol4.pt", {"a": R(3, 4), "b": R(5)}, pickle_protocol=4)
torch_file("legacy4.pth", {"a": R(3, 4), "b": base[::2]}, pickle_protocol=4, **old)
for p in range(2, 6):
    numpy_file(f"prompts{p}.p", np.arange(12, dtype=np.float32).reshape(2, 6), p)
numpy_file("fortran.p", {"a": np.asfortranarray(np.arange(12.0).reshape(3, 4)), "b": np.arange(3, dtype=np.int8), "c": np.float16([1, 2])}, 4)
numpy_file("rows.p", [np.arange(3.0), np.arange(2)], 2)
print(torch.__version__, np.__version__)
