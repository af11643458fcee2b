"""Makes the reference keys of the LoRA tests with peft's and diffusers' own code.

    python make_lora.py

lora.json.gz       files by dialect: every key with its shape, and what diffusers reads
                   out of it: the module and whether the tensor is lora_A or lora_B
peft.safetensors   a small file with alphas in its header, saved by diffusers
"""

import gzip
import json
import os

import diffusers
import peft
import torch
import transformers
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders import lora_conversion_utils as lcu
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from diffusers.utils import convert_state_dict_to_peft, convert_unet_state_dict_to_peft
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

HERE = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(5)


def tiny():
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64), down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=768, attention_head_dim=8,
    )  # fmt: skip
    text = CLIPTextModelWithProjection(
        CLIPTextConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=100)
    )
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=(
        "to_k to_q to_v to_out.0 ff.net.0.proj ff.net.2 proj_in proj_out conv1 conv2 conv_shortcut time_emb_proj "
        "downsamplers.0.conv upsamplers.0.conv conv_in conv_out time_embedding.linear_1 time_embedding.linear_2").split()))  # fmt: skip
    text.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules="q_proj k_proj v_proj out_proj fc1 fc2".split()))
    return unet, get_peft_model_state_dict(unet), get_peft_model_state_dict(text)


def read_by_diffusers(state):
    """PEFT keys of a state dict with component prefixes, as the pipeline's loaders map them."""
    out = {}
    for component in ["unet", "text_encoder", "text_encoder_2"]:
        part = {k.removeprefix(component + "."): k for k in state if k.startswith(component + ".")}
        for key, original in part.items():
            one = {key: original}
            if component == "unet":
                converted = convert_unet_state_dict_to_peft(one)
            elif "lora_A" in key or "lora_B" in key:
                converted = one
            else:
                kind = diffusers.utils.state_dict_utils.StateDictType
                old = kind.DIFFUSERS_OLD if "_lora." in key else kind.DIFFUSERS
                converted = convert_state_dict_to_peft({key: original}, original_type=old)
            ((new, original),) = converted.items()
            out[original] = f"{component}.{new}"
    return out


def file_of(state, read):
    """One golden file: shapes by key, and lora_A or lora_B of a module by key."""
    assert set(read) == {k for k in state if not k.endswith(".alpha")}, set(state) ^ set(read)
    return {"shapes": {k: list(v.shape) for k, v in state.items()}, "read": read}


def kohya_read(state, unet_config=None):
    """The same through the kohya converter; tensors are told apart by their identity."""
    numbered = {}
    for i, k in enumerate(state):
        numbered[k] = torch.tensor(float(i))
    numbered = lcu._maybe_map_sgm_blocks_to_diffusers(numbered, unet_config) if unet_config else numbered
    converted, _ = lcu._convert_non_diffusers_lora_to_diffusers(dict(numbered))
    keys = list(state)
    return {keys[int(v)]: read_by_diffusers({k: 0})[k] for k, v in converted.items()}


def kohya_of_layout(kind, layout):
    """All modules of a full-size UNet as sd-scripts names them: SDXL by the original's names."""
    state = {}
    for name, origin in layout["parts"]["unet"].items():
        if not name.endswith(".weight") or len(origin["shape"]) < 2:
            continue
        module = origin["from"].removeprefix("model.diffusion_model.") if kind == "SDXL" else name
        flat = "lora_unet_" + module.removesuffix(".weight").replace(".", "_")
        state[flat + ".lora_down.weight"] = torch.zeros(4, 1)
        state[flat + ".lora_up.weight"] = torch.zeros(1, 4)
        state[flat + ".alpha"] = torch.zeros(())
    return state


def main():
    unet, unet_lora, text_lora = tiny()
    files = {}
    peft_state = {"unet." + k: v for k, v in unet_lora.items()} | {"text_encoder." + k: v for k, v in text_lora.items()}
    files["peft"] = file_of(peft_state, read_by_diffusers(peft_state))

    mixed = {"unet." + k: v for k, v in convert_state_dict_to_diffusers(unet_lora).items()}
    mixed |= {"text_encoder." + k: v for k, v in convert_state_dict_to_diffusers(text_lora).items()}
    files["diffusers mixed"] = file_of(mixed, read_by_diffusers(mixed))

    down_up = lambda k, infix: k.replace(".lora_A.", infix + ".down.").replace(".lora_B.", infix + ".up.")
    uniform = {"unet." + down_up(k, ".lora"): v for k, v in unet_lora.items()}
    uniform |= {"text_encoder." + down_up(k, ".lora_linear_layer"): v for k, v in text_lora.items()}
    files["diffusers"] = file_of(uniform, read_by_diffusers(uniform))

    kohya = convert_state_dict_to_kohya(peft_state)
    files["kohya"] = file_of(kohya, kohya_read(kohya))

    procs = {}
    for k, v in unet_lora.items():
        if ".attn1.to_" in k or ".attn2.to_" in k:
            k = k.replace(".attn1.", ".attn1.processor.").replace(".attn2.", ".attn2.processor.").replace("to_out.0", "to_out")
            procs["unet." + k.replace(".lora_A", "_lora.down").replace(".lora_B", "_lora.up")] = v
    for k, v in text_lora.items():
        if "_proj" in k:
            for new, old in [("q_proj", "to_q"), ("k_proj", "to_k"), ("v_proj", "to_v"), ("out_proj", "to_out")]:
                k = k.replace(new + ".lora_A", old + "_lora.down").replace(new + ".lora_B", old + "_lora.up")
            procs["text_encoder." + k] = v
    files["attention processors"] = file_of(procs, read_by_diffusers(procs))

    layouts = json.load(gzip.open(os.path.join(HERE, "single_file.json.gz")))["kinds"]
    for kind in ["SD 1", "SDXL"]:
        state = kohya_of_layout(kind, layouts[kind])
        read = kohya_read(state, unet.config)
        modules = {"unet." + k.removesuffix(".weight") for k, o in layouts[kind]["parts"]["unet"].items()
                   if k.endswith(".weight") and len(o["shape"]) > 1}  # fmt: skip
        assert {r.rsplit(".lora_", 1)[0] for r in read.values()} == modules, modules ^ {r.rsplit(".lora_", 1)[0] for r in read.values()}
        files["kohya " + kind] = file_of(state, read)

    made = f"diffusers {diffusers.__version__}, peft {peft.__version__}, transformers {transformers.__version__}"
    with open(os.path.join(HERE, "lora.json.gz"), "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(json.dumps({"made_with": made, "files": files}, separators=(",", ":")).encode())

    small = {k: torch.randn(v.shape) for k, v in unet_lora.items() if "down_blocks.0.attentions.0.transformer_blocks.0.attn2" in k}
    config = LoraConfig(r=4, lora_alpha=2, target_modules=["to_k", "to_q", "to_v", "to_out.0"], alpha_pattern={"attn2.to_v": 8}).to_dict()
    StableDiffusionPipeline.save_lora_weights(
        HERE, unet_lora_layers=small, weight_name="peft.safetensors", unet_lora_adapter_metadata=config
    )
    os.chmod(os.path.join(HERE, "peft.safetensors"), 0o644)
    print(made, {k: len(v["shapes"]) for k, v in files.items()})


main()
