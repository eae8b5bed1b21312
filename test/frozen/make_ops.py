"""Freezes PyTorch's values and gradients, one JSON file for each op, beside this script.

Run with any PyTorch (the files in the tree come from 1.13.1 on the CPU):  python3 test/frozen/make_ops.py
The tests read the files only. Numbers are written exactly; NaN and the infinities as strings. Shapes, params and the order of
inputs are those of the TypeScript function of the same name; tensors among its options follow the positional inputs.
"""
import json
import math
import os

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
NAN, INF = math.nan, math.inf
NAMES = {torch.float32: "float32", torch.float64: "float64", torch.int32: "int32", torch.int64: "int64",
         torch.uint8: "uint8", torch.bool: "bool"}
torch.set_num_threads(1)


def number(value):
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def write_tensor(t):
    if t is None:
        return None
    t = t.detach()
    return {"shape": list(t.shape), "dtype": NAMES[t.dtype], "data": [number(v) for v in t.reshape(-1).tolist()]}


class Freezer:
    def __init__(self):
        self.files = {}
        self.random = torch.Generator().manual_seed(20)

    def normal(self, *shape, dtype=torch.float64, scale=1.0):
        # Drawn in double and rounded, so that both dtypes see nearly the same inputs.
        return (torch.randn(shape, generator=self.random, dtype=torch.float64) * scale).to(dtype)

    def positive(self, *shape, dtype=torch.float64):
        return (torch.rand(shape, generator=self.random, dtype=torch.float64) * 4 + 0.1).to(dtype)

    def case(self, op, inputs, function, params=None, gradient=True):
        """inputs: tensors; floating ones get a gradient. function(*inputs) -> tensor."""
        leaves = [t.clone().requires_grad_(gradient and t.is_floating_point()) for t in inputs]
        output = function(*leaves)
        record = {"inputs": [write_tensor(t) for t in inputs], "params": params or {}, "outputs": [write_tensor(output)]}
        if gradient and output.requires_grad:
            g = self.normal(*output.shape, dtype=output.dtype)
            wanted = [t for t in leaves if t.requires_grad]
            grads = dict(zip(map(id, wanted), torch.autograd.grad(output, wanted, g, allow_unused=True)))
            record["gradOutputs"] = [write_tensor(g)]
            record["grads"] = [write_tensor(grads.get(id(t))) for t in leaves]
        self.files.setdefault(op, []).append(record)

    def save(self):
        for op, cases in self.files.items():
            with open(os.path.join(HERE, op + ".json"), "w") as file:
                json.dump({"op": op, "cases": cases}, file, separators=(",", ":"))
                file.write("\n")



def elementwise(f, dtype):
    edge = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 20.0, -20.0, 1e-8, NAN, INF, -INF], dtype=dtype)
    # Kinks and poles keep their values here; their gradients are PyTorch's subgradients.
    for name, function in {
        "neg": torch.neg, "abs": torch.abs, "exp": torch.exp, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
        "relu": torch.relu, "erf": torch.erf, "sign": torch.sign, "square": torch.square,
    }.items():
        f.case(name, [edge], function)
        f.case(name, [f.normal(3, 5, dtype=dtype)], function)
    for name, function in {"log": torch.log, "sqrt": torch.sqrt}.items():
        f.case(name, [torch.tensor([0.25, 1.0, 2.0, 1e-6, 1e6, INF], dtype=dtype)], function)
        f.case(name, [torch.tensor([0.0, -1.0, NAN, -INF], dtype=dtype)], function)
        f.case(name, [f.positive(3, 5, dtype=dtype)], function)
    for approximate in ("none", "tanh"):
        finite = edge[:12]
        f.case("gelu", [finite], lambda x: F.gelu(x, approximate=approximate), {"approximate": approximate})
        f.case("gelu", [f.normal(3, 5, dtype=dtype)], lambda x: F.gelu(x, approximate=approximate), {"approximate": approximate})


def binary(f, dtype):
    ties = torch.tensor([1.0, 2.0, 3.0, NAN, -1.0, 0.0], dtype=dtype)
    others = torch.tensor([1.0, 3.0, 2.0, 1.0, NAN, 0.0], dtype=dtype)
    for name, function in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
                           "minimum": torch.minimum, "maximum": torch.maximum}.items():
        f.case(name, [f.normal(3, 4, dtype=dtype), f.normal(3, 4, dtype=dtype)], function)
        f.case(name, [f.normal(2, 1, 4, dtype=dtype), f.normal(3, 1, dtype=dtype)], function)
        f.case(name, [ties, others], function)
    f.case("div", [torch.tensor([1.0, -1.0, 0.0, INF], dtype=dtype), torch.tensor([0.0, 0.0, 0.0, INF], dtype=dtype)], torch.div)
    for name, function in {"eq": torch.eq, "ne": torch.ne, "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge}.items():
        f.case(name, [ties, others], function, gradient=False)
    cond = torch.tensor([[True, False, True], [False, False, True]])
    f.case("where", [cond, f.normal(2, 3, dtype=dtype), f.normal(3, dtype=dtype)], lambda c, a, b: torch.where(c, a, b))


def reductions(f, dtype):
    x = f.normal(3, 4, 5, dtype=dtype)
    tied = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [NAN, 5.0, NAN]], dtype=dtype)
    every = lambda t: tuple(range(t.dim()))
    for dim, keep in ((None, False), (1, False), (-1, True), ([0, 2], False)):
        params = {"keepDim": keep}
        if dim is not None:
            params["dim"] = dim
        for name, function in {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}.items():
            for t in (x, tied) if dim != [0, 2] else (x,):
                f.case(name, [t], lambda v: function(v, dim=every(v) if dim is None else dim, keepdim=keep), params)
    for dim in (None, 0, -1):
        for name, function in {"argmax": torch.argmax, "argmin": torch.argmin}.items():
            for t in (x, tied):
                f.case(name, [t], lambda v: function(v, dim=dim).to(torch.int32), {} if dim is None else {"dim": dim}, gradient=False)


def softmaxes(f, dtype):
    special = torch.tensor([[0.0, 1000.0, -1000.0], [-INF, 0.0, 1.0], [-INF, -INF, -INF], [NAN, 0.0, 1.0]], dtype=dtype)
    for name, function in {"softmax": torch.softmax, "logSoftmax": torch.log_softmax}.items():
        f.case(name, [f.normal(4, 7, dtype=dtype)], lambda x: function(x, -1), {"dim": -1})
        f.case(name, [f.normal(2, 5, 3, dtype=dtype)], lambda x: function(x, 1), {"dim": 1})
        f.case(name, [f.normal(6, dtype=dtype)], lambda x: function(x, 0), {"dim": 0})
        f.case(name, [special], lambda x: function(x, 1), {"dim": 1}, gradient=False)
    f.case("layerNorm", [f.normal(3, 7, dtype=dtype), f.normal(7, dtype=dtype), f.normal(7, dtype=dtype)],
           lambda x, w, b: F.layer_norm(x, [7], w, b, 1e-5), {"normalizedShape": [7], "eps": 1e-5})
    f.case("layerNorm", [f.normal(2, 3, 4, dtype=dtype, scale=3)],
           lambda x: F.layer_norm(x, [3, 4], None, None, 1e-3), {"normalizedShape": [3, 4], "eps": 1e-3})


def losses(f, dtype):
    n, c = 6, 5
    logits = f.normal(n, c, dtype=dtype, scale=2)
    index = torch.tensor([0, 4, 2, 2, 1, 3])
    ignored = torch.tensor([0, -100, 2, 2, -100, 3])
    weight = f.positive(c, dtype=dtype).detach()
    probabilities = torch.softmax(f.normal(n, c, dtype=dtype), 1)

    def run(logits, target, weight=None, **options):
        params = {"ignoreIndex": options.get("ignore_index", -100), "labelSmoothing": options.get("label_smoothing", 0.0),
                  "reduction": options.get("reduction", "mean"), "weighted": weight is not None}
        inputs = [logits, target] + ([weight] if weight is not None else [])
        leaf = lambda t, *rest: F.cross_entropy(t, rest[0], weight=rest[1].detach() if len(rest) > 1 else None, **options)
        f.case("crossEntropy", inputs, leaf, params)

    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            run(logits, index, reduction=reduction, label_smoothing=smoothing)
            run(logits, ignored, weight, reduction=reduction, label_smoothing=smoothing)
    run(logits, torch.tensor([0, 1, 2, 2, 1, 3]), ignore_index=2)
    run(logits, torch.full((n,), -100), reduction="mean")
    run(f.normal(c, dtype=dtype), torch.tensor(3))
    run(f.normal(2, c, 2, 3, dtype=dtype), torch.randint(0, c, (2, 2, 3), generator=f.random), weight)
    for reduction in ("mean", "sum", "none"):
        run(logits, probabilities, reduction=reduction)
        run(logits, probabilities, weight, reduction=reduction, label_smoothing=0.2)
    for reduction in ("mean", "sum", "none"):
        f.case("mseLoss", [f.normal(3, 4, dtype=dtype), f.normal(3, 4, dtype=dtype)],
               lambda a, b: F.mse_loss(a, b, reduction=reduction), {"reduction": reduction})


def linear_algebra(f, dtype):
    for a, b in (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)),
                 ((2, 1, 3, 4), (5, 4, 2))):
        f.case("matmul", [f.normal(*a, dtype=dtype), f.normal(*b, dtype=dtype)], torch.matmul)
    acts = {"none": lambda x: x, "relu": torch.relu, "gelu": F.gelu, "geluTanh": lambda x: F.gelu(x, approximate="tanh")}
    for name, act in acts.items():
        f.case("linear", [f.normal(4, 3, dtype=dtype), f.normal(5, 3, dtype=dtype), f.normal(5, dtype=dtype)],
               lambda x, w, b: act(F.linear(x, w, b)), {"activation": name})
    f.case("linear", [f.normal(2, 4, 3, dtype=dtype), f.normal(5, 3, dtype=dtype)], F.linear, {"activation": "none"})
    for x, w, bias, stride, padding, dilation, groups in (
            ((2, 3, 6, 7), (4, 3, 3, 3), True, [1, 1], [0, 0], [1, 1], 1),
            ((2, 3, 6, 7), (4, 3, 3, 2), True, [2, 1], [1, 2], [1, 1], 1),
            ((1, 4, 9, 9), (6, 2, 3, 3), False, [1, 2], [2, 2], [2, 3], 2),
            ((2, 3, 5, 5), (3, 1, 3, 3), True, [1, 1], [1, 1], [1, 1], 3)):
        inputs = [f.normal(*x, dtype=dtype), f.normal(*w, dtype=dtype)] + ([f.normal(w[0], dtype=dtype)] if bias else [])
        f.case("conv2d", inputs, lambda x, w, b=None: F.conv2d(x, w, b, stride, padding, dilation, groups),
               {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups})
    ties = torch.tensor([[[[1.0, 1.0, 2.0, NAN], [0.0, 1.0, 2.0, 2.0], [-INF, -INF, 3.0, 1.0], [-INF, -INF, 3.0, 3.0]]]], dtype=dtype)
    for t, kernel, stride, padding, dilation in ((f.normal(2, 3, 6, 7, dtype=dtype), [2, 2], [2, 2], [0, 0], [1, 1]),
                                                 (f.normal(2, 3, 7, 7, dtype=dtype), [3, 2], [1, 2], [1, 1], [1, 1]),
                                                 (f.normal(1, 2, 8, 8, dtype=dtype), [2, 3], [1, 1], [1, 1], [2, 2]),
                                                 (ties, [2, 2], [2, 2], [0, 0], [1, 1])):
        f.case("maxPool2d", [t], lambda x: F.max_pool2d(x, kernel, stride, padding, dilation),
               {"kernelSize": kernel, "stride": stride, "padding": padding, "dilation": dilation})
    f.case("embedding", [f.normal(5, 3, dtype=dtype), torch.tensor([[0, 4, 4], [2, 0, 4]])], lambda w, i: F.embedding(i, w), {})
    f.case("embedding", [f.normal(5, 3, dtype=dtype), torch.tensor([1, 1, 3], dtype=torch.int32)],
           lambda w, i: F.embedding(i, w, padding_idx=1), {"paddingIdx": 1})

    def attention(q, k, v, causal, mask, scale):
        scores = q @ k.transpose(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -INF)
        if mask is not None:
            scores = scores.masked_fill(~mask, -INF) if mask.dtype == torch.bool else scores + mask
        return torch.softmax(scores, -1) @ v

    q, k, v = (f.normal(2, 2, 4, 3, dtype=dtype) for _ in range(3))
    mask = torch.tensor([[True, False, True, True]] * 4)
    name = "scaledDotProductAttention"
    f.case(name, [q, k, v], lambda q, k, v: attention(q, k, v, False, None, None), {})
    f.case(name, [q, k, v], lambda q, k, v: attention(q, k, v, True, None, None), {"causal": True})
    f.case(name, [q, k, v], lambda q, k, v: attention(q, k, v, False, None, 0.3), {"scale": 0.3})
    f.case(name, [q, k, v, mask], lambda q, k, v, m: attention(q, k, v, False, m, None), {"masked": True})
    f.case(name, [q, k, v, f.normal(4, 4, dtype=dtype)], lambda q, k, v, m: attention(q, k, v, False, m.detach(), None), {"masked": True})


def main():
    freezer = Freezer()
    for dtype in (torch.float32, torch.float64):
        elementwise(freezer, dtype)
        binary(freezer, dtype)
        reductions(freezer, dtype)
        softmaxes(freezer, dtype)
        losses(freezer, dtype)
        linear_algebra(freezer, dtype)
    freezer.save()


main()
