"""What huggingface_hub and transformers make of a cache: hub.py <repo> [offline]; prints one JSON object.

The environment says where the Hub and the cache are. It fetches what it does not find.
"""

import json
import sys

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
from transformers import AutoModelForCausalLM

repo = sys.argv[1]
patterns = ["*.json", "*.safetensors", "README.md"]
folder = snapshot_download(repo, allow_patterns=patterns)
config = hf_hub_download(repo, "config.json")
model = AutoModelForCausalLM.from_pretrained(repo)
scan = scan_cache_dir()
print(json.dumps({
    "folder": folder,
    "config": config,
    "class": type(model).__name__,
    "sum": float(sum(p.double().sum() for p in model.parameters())),
    "repos": [each.repo_id for each in scan.repos],
    "warnings": [str(each) for each in scan.warnings],
}))
