"""Writes peft_keys.json: the keys of the configurations of PEFT's methods that are read."""
import dataclasses, json, pathlib, peft
methods = {"LORA": peft.LoraConfig, "LOHA": peft.LoHaConfig, "LOKR": peft.LoKrConfig, "IA3": peft.IA3Config}
keys = {name: sorted(f.name for f in dataclasses.fields(c)) for name, c in methods.items()}
out = pathlib.Path(__file__).with_name("peft_keys.json")
out.write_text(json.dumps({"version": peft.__version__, "keys": keys}, indent=1) + "\n")
