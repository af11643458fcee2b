"""Makes the golden attention maps of the tiny SD 1 and SDXL models -> attention.safetensors

    python attention.py        (in this folder; torch 2.12.1, diffusers 0.42.1, numpy)

The attention to a word is taken out of diffusers by an attention processor of our own, and averaged as DAAM does
(Tang et al., arXiv 2210.04885): over steps, layers and heads of the way down and up, each map enlarged to the latents'
size by bicubic interpolation and cut at 0, and over the word's tokens.
"""

import pathlib

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
PROMPT, WORDS, STEPS = "a chef in the old park, a tree", ["chef", "park", "old park"], 3


class Watch:
    """Computes attention as diffusers' AttnProcessor does, and keeps the weights."""

    def __init__(self):
        self.seen = []

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        assert encoder_hidden_states is not None
        q = attn.head_to_batch_dim(attn.to_q(hidden_states))
        k = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
        v = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
        weights = attn.get_attention_scores(q, k)
        self.seen.append(weights)
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(torch.bmm(weights, v))))


@torch.no_grad()
def maps(kind, name):
    pipe = kind.from_pretrained(HERE / name, torch_dtype=torch.float32, local_files_only=True)
    generator = torch.Generator().manual_seed(7)
    latents = torch.randn(1, 4, 16, 12, generator=generator)
    names = [n for n in pipe.unet.attn_processors if ".attn2." in n and not n.startswith("mid")]
    watches = {n: Watch() for n in names}
    pipe.unet.set_attn_processor({n: watches.get(n, p) for n, p in pipe.unet.attn_processors.items()})
    factor = pipe.vae_scale_factor
    height, width = 16 * factor, 12 * factor
    encoded = pipe.encode_prompt(PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    more = {}
    if kind is StableDiffusionXLPipeline:
        more["added_cond_kwargs"] = {"text_embeds": encoded[2], "time_ids": torch.tensor([[height, width, 0, 0, height, width]])}
    alphas = pipe.scheduler.alphas_cumprod
    noise = torch.Generator().manual_seed(0)
    for i in range(STEPS):
        t = (2 * i + 1) * len(alphas) // (2 * STEPS)
        fresh = torch.randn(latents.shape, generator=noise)
        noisy = alphas[t].sqrt() * latents + (1 - alphas[t]).sqrt() * fresh
        pipe.unet(noisy, t, encoder_hidden_states=encoded[0], **more)
    tokens = pipe.tokenizer(PROMPT).input_ids
    heads = []
    for n in names:
        over_time = torch.stack(watches[n].seen).sum(0)  # [heads,pixels,tokens]
        side = {192: (16, 12), 48: (8, 6), 12: (4, 3)}[over_time.shape[1]]
        each = over_time.permute(0, 2, 1).reshape(over_time.shape[0], -1, *side)
        heads.append(F.interpolate(each, size=(16, 12), mode="bicubic").clamp(min=0))
    mean = torch.cat(heads).mean(0)  # [tokens,16,12]
    out = []
    for word in WORDS:
        inner = pipe.tokenizer(word).input_ids[1:-1]
        starts = [i for i in range(len(tokens)) if tokens[i:i + len(inner)] == inner]
        assert starts, word
        out.append(mean[[i + j for i in starts for j in range(len(inner))]].mean(0))
    return latents, torch.stack(out)[None]


out = {}
for kind, name in ((StableDiffusionPipeline, "sd1"), (StableDiffusionXLPipeline, "sdxl")):
    out[name + ".latents"], out[name + ".maps"] = maps(kind, name)
    print(name, out[name + ".maps"].amin((2, 3)), out[name + ".maps"].amax((2, 3)))
save_file(out, HERE / "attention.safetensors")
