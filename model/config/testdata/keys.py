"""The parameters of every class whose configuration is read -> keys.json

    python keys.py

Run again with a newer diffusers or transformers, a key that has appeared makes the tests of those that
read it fail, until it is used, known to be irrelevant or refused.
"""

import inspect
import json
import pathlib

import diffusers
import transformers

CLASSES = {
    diffusers: """UNet2DConditionModel AutoencoderKL AutoencoderTiny StableDiffusionPipeline StableDiffusionXLPipeline
        LatentConsistencyModelPipeline StableDiffusionInpaintPipeline StableDiffusionXLImg2ImgPipeline
        DDIMScheduler DDPMScheduler PNDMScheduler LCMScheduler TCDScheduler EulerDiscreteScheduler
        EulerAncestralDiscreteScheduler HeunDiscreteScheduler DPMSolverMultistepScheduler UniPCMultistepScheduler
        DEISMultistepScheduler EDMEulerScheduler EDMDPMSolverMultistepScheduler
        SD3Transformer2DModel ZImageTransformer2DModel FlowMatchEulerDiscreteScheduler""",
    transformers: "CLIPTextConfig CLIPVisionConfig CLIPConfig CLIPTokenizer T5Config Qwen3Config PreTrainedConfig",
}


def parameters(cls):
    names = inspect.signature(cls.__init__).parameters
    return sorted(n for n, p in names.items() if n != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))


out = {"versions": {m.__name__: m.__version__ for m in CLASSES}}
out |= {name: parameters(getattr(module, name)) for module, names in CLASSES.items() for name in names.split()}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(out, indent=1) + "\n")
print(path, out["versions"])
