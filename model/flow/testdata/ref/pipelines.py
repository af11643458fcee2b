"""What diffusers' StableDiffusion3Pipeline and ZImagePipeline draw with tiny models -> pipelines.json, pipelines.safetensors

    python pipelines.py        (diffusers 0.42.1, transformers 5.24.0, torch 2.11.0; float32, one thread)

Weights are hashed from PART.NAME (model/nn/nntest/ref/hashed.py), so only configurations and images are kept; the
tokenizers are those of model/clip/testdata/learned and model/tokenizer/testdata/ref. The Go test writes the folders.
"""

import copy
import gzip
import json
import os
import sys
import tempfile

import diffusers
import torch
import transformers
from diffusers import (AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline, ZImagePipeline,
                       ZImageTransformer2DModel)
from safetensors.torch import load_file, save_file
from transformers import (CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, PreTrainedTokenizerFast, Qwen3Config, Qwen3Model,
                          T5Config, T5EncoderModel)

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "../../..")
sys.path.insert(0, os.path.join(MODEL, "nn/nntest/ref"))
from hashed import weight  # noqa: E402

torch.set_num_threads(1)
SIDE, PROMPTS = 32, ["a chef in the park", "two cats, near the river's edge"]
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
out, images = {}, {}


def hashed(part, model):
    """Gives a model the weights that its file on disk has, by the names there."""
    with tempfile.TemporaryDirectory() as dir:
        model.save_pretrained(dir)
        name = [f for f in os.listdir(dir) if f.endswith(".safetensors")][0]
        stored = {k: weight(f"{part}.{k}", t.shape) for k, t in load_file(os.path.join(dir, name)).items()}
        save_file(stored, os.path.join(dir, name), {"format": "pt"})
        config = json.load(open(os.path.join(dir, "config.json")))
        fresh = type(model).from_pretrained(dir).eval()
    return fresh, dict(config=config, file=name, shapes={k: list(t.shape) for k, t in stored.items()})


def fast_tokenizer(name, **more):
    text = gzip.decompress(open(os.path.join(MODEL, "tokenizer/testdata/ref", name), "rb").read()).decode()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        f.write(text)
        f.flush()
        return PreTrainedTokenizerFast(tokenizer_file=f.name, **more)


def vae(channels, scale, shift):
    return AutoencoderKL(
        latent_channels=channels, block_out_channels=[8, 16], layers_per_block=1, norm_num_groups=4, sample_size=SIDE,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2, scaling_factor=scale, shift_factor=shift,
        use_quant_conv=False, use_post_quant_conv=False)


def draw(name, pipe, cases, parts, scheduler):
    pipe.set_progress_bar_config(disable=True)
    drawn = []
    for case, prompts, kw in cases:
        seeds = [7 + i for i in range(len(prompts))]
        side = pipe.vae_scale_factor
        noise = torch.cat([torch.randn(1, pipe.vae.config.latent_channels, kw["height"] // side, kw["width"] // side,
                                       generator=torch.Generator().manual_seed(s)) for s in seeds])
        with torch.no_grad():
            result = pipe(prompt=list(prompts), latents=noise, output_type="pt", **copy.deepcopy(kw)).images  # ZImagePipeline rewrites lists
        images[f"{name}.{case}"] = result.float()
        drawn.append(dict(name=f"{name}.{case}", prompts=prompts, seeds=seeds, **kw))
    scheduler = {k: v for k, v in scheduler.items() if k != "_use_default_values"}
    out[name] = dict(parts=parts, scheduler=scheduler, cases=drawn, class_name=type(pipe).__name__)


def sd3(name, with_t5, **more):
    learned = os.path.join(MODEL, "clip/testdata/learned")
    words = CLIPTokenizer.from_pretrained(learned)
    parts, encoders = {}, []
    for part, width in [("text_encoder", 16), ("text_encoder_2", 24)]:
        config = CLIPTextConfig(
            vocab_size=len(words), hidden_size=width, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=24, projection_dim=width, bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
            hidden_act="quick_gelu" if width == 16 else "gelu")
        model, parts[part] = hashed(part, CLIPTextModelWithProjection(config))
        encoders.append(model)
    t5, t5_words = None, None
    if with_t5:
        t5, parts["text_encoder_3"] = hashed("text_encoder_3", T5EncoderModel(T5Config(
            vocab_size=300, d_model=48, d_kv=8, d_ff=40, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu")))
        t5_words = fast_tokenizer("unigram.json.gz", pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    transformer, parts["transformer"] = hashed("transformer", SD3Transformer2DModel(**dict(
        sample_size=16, patch_size=2, in_channels=16, out_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=48, caption_projection_dim=32, pooled_projection_dim=40, pos_embed_max_size=24) | more))
    decoder, parts["vae"] = hashed("vae", vae(16, 1.5305, 0.0609))
    scheduler = dict(shift=3.0) if with_t5 else dict(use_dynamic_shifting=True)
    flow = FlowMatchEulerDiscreteScheduler(**scheduler)
    words.model_max_length = 24
    pipe = StableDiffusion3Pipeline(transformer, flow, decoder, encoders[0], words, encoders[1], words, t5, t5_words)
    draw(name, pipe, [
        ("guided", PROMPTS, dict(height=SIDE, width=SIDE, num_inference_steps=4, guidance_scale=5.0, negative_prompt=["blurry"] * 2)),
        ("plain", PROMPTS[:1], dict(height=24, width=40, num_inference_steps=3, guidance_scale=1.0)),
        ("one", PROMPTS[:1], dict(height=SIDE, width=SIDE, num_inference_steps=1, guidance_scale=4.0)),
    ], parts, dict(flow.config))


def z_image():
    parts = {}
    qwen, parts["text_encoder"] = hashed("text_encoder", Qwen3Model(Qwen3Config(
        vocab_size=700, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        max_position_embeddings=1024)))
    words = fast_tokenizer("bpe.json.gz", pad_token="<|endoftext|>", chat_template=TEMPLATE)
    transformer, parts["transformer"] = hashed("transformer", ZImageTransformer2DModel(
        in_channels=16, dim=48, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=24, axes_dims=[8, 8, 8],
        axes_lens=[600, 32, 32]))
    decoder, parts["vae"] = hashed("vae", vae(16, 0.3611, 0.1159))
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = ZImagePipeline(flow, decoder, qwen, words, transformer)
    draw("zimage", pipe, [
        ("guided", PROMPTS, dict(height=SIDE, width=SIDE, num_inference_steps=4, guidance_scale=2.0, negative_prompt=["blurry"] * 2)),
        ("plain", PROMPTS[:1], dict(height=24, width=40, num_inference_steps=3, guidance_scale=0.0)),
        ("one", PROMPTS[:1], dict(height=SIDE, width=SIDE, num_inference_steps=1, guidance_scale=0.0)),
    ], parts, dict(flow.config))


def levels():
    """Noise levels of every kind of shift."""
    kinds = {"static": dict(shift=3.0), "none": dict(), "dynamic": dict(use_dynamic_shifting=True),
             "linear": dict(use_dynamic_shifting=True, time_shift_type="linear")}
    found = {}
    for name, kw in kinds.items():
        for n in (1, 2, 9, 28):
            s = FlowMatchEulerDiscreteScheduler(**kw)
            mu = 1024 * (1.15 - 0.5) / (4096 - 256) + 0.5 - (1.15 - 0.5) / (4096 - 256) * 256
            s.set_timesteps(n, **(dict(mu=mu) if kw.get("use_dynamic_shifting") else {}))
            found[f"{name}_{n}"] = dict(config=kw, steps=n, tokens=1024, levels=s.sigmas.double().tolist())
    return found


def main():
    sd3("sd3", False)
    sd3("sd35", True, qk_norm="rms_norm", dual_attention_layers=[0])
    z_image()
    save_file({k: v.contiguous() for k, v in images.items()}, os.path.join(HERE, "pipelines.safetensors"))
    with open(os.path.join(HERE, "pipelines.json"), "w") as f:
        json.dump(dict(made_with=dict(diffusers=diffusers.__version__, transformers=transformers.__version__, torch=torch.__version__),
                       models=out, levels=levels()), f, default=str)
        f.write("\n")


if __name__ == "__main__":
    main()
