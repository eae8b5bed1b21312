"""Freezes PyTorch's nn.MultiheadAttention: `python3 test/frozen/make_attention.py > test/frozen/multiheadAttention.json` (PyTorch 1.13, CPU)."""
import json

import torch

torch.manual_seed(1)
B, T, S, E, H = 2, 3, 5, 8, 2
module = torch.nn.MultiheadAttention(E, H).double()
for p in module.parameters():
    torch.nn.init.uniform_(p, -1, 1)
query, memory = torch.rand(T, B, E).double() * 2 - 1, torch.rand(S, B, E).double() * 2 - 1
causal = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)


def dump(t):
    return {"shape": list(t.shape), "values": t.detach().flatten().tolist()}


def run(q, k, mask=None):
    module.zero_grad()
    y, _ = module(q, k, k, attn_mask=mask, need_weights=False)
    (y * y).sum().backward()
    return {"output": dump(y), "gradient": dump(module.in_proj_weight.grad)}


print(json.dumps({
    "torch": torch.__version__, "embedDim": E, "numHeads": H,
    "state": {name: dump(t) for name, t in module.state_dict().items()},
    "query": dump(query), "memory": dump(memory),
    "self": run(query, query), "causal": run(query, query, causal), "cross": run(query, memory),
}))
