"""The diffusers side of bench/fullsize: loads a folder and draws one image, prints the same JSON.

    python fullsize.py FOLDER [float32] [256] [2]        element type, side, steps

A transformer's text encoders are loaded, used for one prompt and dropped before the rest is loaded, as bench/fullsize
does: together they do not fit into the memory of a small machine.
"""

import gc
import json
import os
import resource
import sys
import time

folder, dtype, side, steps = (sys.argv[1:] + ["float32", "256", "2"][len(sys.argv) - 2 :])[:4]
side, steps, imports = int(side), int(steps), time.time()
import torch  # noqa: E402
import diffusers  # noqa: E402

dtype, result = getattr(torch, dtype), {}
result["import_s"] = time.time() - imports
since = [time.time(), time.process_time()]


def lap(part):
    now = [time.time(), time.process_time()]
    result.update({f"{part}_s": now[0] - since[0], f"{part}_cpu_s": now[1] - since[1],
                   f"{part}_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000})
    since[:] = now


def tick(_pipe, _i, _t, kwargs):
    lap("step")  # the last one's: the first reads the file
    return kwargs


index = json.load(open(f"{folder}/model_index.json"))
transformer = "transformer" in index
more = {} if "XL" not in index["_class_name"] else {"add_watermarker": False}
call = {"prompt": "a chef", "guidance_scale": 1.0}
if transformer:
    cls = getattr(diffusers, index["_class_name"])
    absent = {"transformer": None, "vae": None}
    if "text_encoder_3" in index and not os.path.isdir(f"{folder}/text_encoder_3"):
        absent |= {"text_encoder_3": None, "tokenizer_3": None}
        with torch.device("meta"):  # whose configuration says how wide T5's zeros are
            absent["transformer"] = diffusers.SD3Transformer2DModel.from_config(f"{folder}/transformer")
    pipe = cls.from_pretrained(folder, dtype=dtype, local_files_only=True, **absent)
    with torch.no_grad():
        if "ZImage" in index["_class_name"]:
            ids = pipe.tokenizer("<|im_start|>user\na chef<|im_end|>\n<|im_start|>assistant\n", return_tensors="pt").input_ids
            states = pipe.text_encoder(input_ids=ids, output_hidden_states=True).hidden_states[-2][0]
            call = {"prompt_embeds": [states], "guidance_scale": 0.0}
        else:
            states, _, pooled, _ = pipe.encode_prompt("a chef", None, None, do_classifier_free_guidance=False)
            call = {"prompt_embeds": states, "pooled_prompt_embeds": pooled, "guidance_scale": 1.0}
    del pipe
    gc.collect()
    lap("prompt")
    more = {name: None for name in index if name.startswith(("text_encoder", "tokenizer"))}
pipe = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True, **more)
pipe.set_progress_bar_config(disable=True)
lap("load")
pipe(num_inference_steps=steps, height=side, width=side, generator=torch.Generator("cpu").manual_seed(1), callback_on_step_end=tick, **call)
lap("decode")
print(json.dumps(result))
