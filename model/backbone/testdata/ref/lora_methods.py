"""Writes lora_methods.safetensors: adapters of LyCORIS and PEFT on a linear layer and two convolutions, and what
they make of the weights and biases at strength 1, which the libraries themselves say.

    pip install torch peft lycoris-lora
"""
import json, pathlib, torch, peft
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.full import FullModule
from safetensors.torch import save_file

torch.manual_seed(7)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(12, 8)
        self.conv = torch.nn.Conv2d(4, 6, 3, padding=1)
        self.point = torch.nn.Conv2d(4, 6, 1)


net = Net()
base = {k: v.detach().clone() for k, v in net.state_dict().items()}
out = {f"base/{k}": v for k, v in base.items()}
configs = {}


def fill(params, scale=0.3):
    for p in params:
        p.data = torch.randn_like(p) * scale


def merged(m, layer, state):
    """What a module computes with once it is trained. get_merged_weight of 4.1.3 scales LoHa and LoKr twice; the
    forward pass, with which they are trained, does not."""
    if isinstance(m, FullModule):
        return layer.weight + state["diff"], layer.bias + state["diff_b"]
    if isinstance(m, (LohaModule, LokrModule)):
        weight = layer.weight + m.get_weight(layer.weight.shape)
        return (m.apply_weight_decompose(weight) if m.wd else weight), None
    return m.get_merged_weight(multiplier=1, shape=layer.weight.shape)


def lycoris(case, cls, layers=("lin", "conv", "point"), **kw):
    for name in layers:
        layer = getattr(net, name)
        m = cls("lora_unet_" + name, layer, 1.0, **kw)
        with torch.no_grad():
            for n, p in m.named_parameters():
                if n == "dora_scale":
                    p.copy_(p * (1 + 0.3 * torch.rand_like(p)))
                elif n != "scalar":
                    p.copy_(torch.randn_like(p) * 0.3)
            state = m.custom_state_dict() or m.state_dict()
            weight, bias = merged(m, layer, state)
        for k, v in state.items():
            if k != "scalar":
                out[f"{case}/lora_unet_{name}.{k}"] = v.detach().clone().contiguous()
        out[f"{case}/want/{name}.weight"] = weight.detach().reshape(layer.weight.shape).clone().contiguous()
        if bias is not None:
            out[f"{case}/want/{name}.bias"] = bias.detach().clone().contiguous()


def of_peft(case, config):
    net.load_state_dict(base)
    import copy
    model = peft.get_peft_model(copy.deepcopy(net), config)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if any(w in n for w in ("lora_A", "lora_B", "hada_", "lokr_")):
                p.copy_(torch.randn_like(p) * 0.3)
            elif "ia3_l" in n or "magnitude" in n:
                p.copy_(p * (1 + 0.3 * torch.rand_like(p)))
    for k, v in peft.get_peft_model_state_dict(model).items():
        out[f"{case}/{k}"] = v.detach().clone().contiguous()
    d = {k: (sorted(v) if isinstance(v, set) else v) for k, v in model.peft_config["default"].to_dict().items()}
    configs[case] = json.loads(json.dumps(d, default=str))
    merged = model.merge_and_unload()
    for k, v in merged.state_dict().items():
        out[f"{case}/want/{k}"] = v.detach().clone().contiguous()


all_ = ["lin", "conv", "point"]
lycoris("locon", LoConModule, lora_dim=3, alpha=2)
lycoris("locon tucker", LoConModule, ("conv",), lora_dim=3, alpha=2, use_tucker=True)
lycoris("locon dora", LoConModule, lora_dim=3, alpha=2, weight_decompose=True, wd_on_out=False)
lycoris("locon dora out", LoConModule, lora_dim=3, alpha=2, weight_decompose=True, wd_on_out=True)
lycoris("loha", LohaModule, lora_dim=3, alpha=2)
lycoris("loha tucker", LohaModule, ("conv",), lora_dim=3, alpha=2, use_tucker=True)
lycoris("loha dora", LohaModule, lora_dim=3, alpha=2, weight_decompose=True)
lycoris("lokr", LokrModule, lora_dim=1, alpha=2, factor=2)
lycoris("lokr both", LokrModule, lora_dim=1, alpha=2, factor=4, decompose_both=True)
lycoris("lokr tucker", LokrModule, ("conv",), lora_dim=1, alpha=2, factor=2, use_tucker=True)
lycoris("lokr whole", LokrModule, lora_dim=100, alpha=2, factor=2)
lycoris("ia3 in", IA3Module, ("lin", "conv"), train_on_input=True)
lycoris("ia3 out", IA3Module, ("lin", "conv"), train_on_input=False)
lycoris("full", FullModule)
of_peft("peft lora", peft.LoraConfig(r=3, lora_alpha=5, target_modules=all_, use_rslora=True, alpha_pattern={"conv": 2}))
of_peft("peft dora", peft.LoraConfig(r=3, lora_alpha=5, target_modules=all_, use_dora=True))
of_peft("peft bias", peft.LoraConfig(r=3, lora_alpha=5, target_modules=all_, lora_bias=True))
of_peft("peft loha", peft.LoHaConfig(r=3, alpha=5, target_modules=all_, use_effective_conv2d=True))
of_peft("peft lokr", peft.LoKrConfig(r=3, alpha=5, target_modules=all_, use_effective_conv2d=True))
of_peft("peft lokr whole", peft.LoKrConfig(r=30, alpha=5, target_modules=all_))
of_peft("peft ia3", peft.IA3Config(target_modules=all_, feedforward_modules=["conv"]))
import importlib.metadata as m
here = pathlib.Path(__file__)
save_file(out, here.with_suffix(".safetensors"), {"configs": json.dumps(configs), "torch": torch.__version__, "peft": peft.__version__, "lycoris": m.version("lycoris-lora")})
