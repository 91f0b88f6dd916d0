"""Writes the small files that src/weights/torch/tests.rs reads: what torch.save makes of a state in the ways people save it.

In a virtual environment with torch: python make.py ."""
import collections, sys, torch
out = sys.argv[1]
torch.manual_seed(1)
def state(prefix="", dtype=torch.float32):
    return collections.OrderedDict([
        (prefix + "conv.weight", torch.arange(12, dtype=torch.float32).reshape(2, 3, 1, 2).to(dtype) / 4),
        (prefix + "bn.running_mean", torch.tensor([0.5, -1.5], dtype=dtype)),
        (prefix + "bn.num_batches_tracked", torch.tensor(7)),
    ])
save = lambda value, name, **more: torch.save(value, f"{out}/{name}", **more)
save(state(), "plain.pth")
save(state(), "old.pth", _use_new_zipfile_serialization=False)
save(state(dtype=torch.bfloat16), "bfloat16.pt")
save({"epoch": 3, "best": 0.5, "args": {"lr": 0.1, "names": ["a", "b"], "seen": {1, 2}}, "model": state("module.", torch.float16),
      "optimizer": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}},
     "nested.pth")
ema = {name: value + 1 if value.is_floating_point() else value for name, value in state("model.").items()}
save({"pytorch-lightning_version": "2.4.0", "state_dict": state("model."), "state_dict_ema": ema,
      "hyper_parameters": {"lr": 1e-3}, "loops": {}, "callbacks": {}}, "lightning.ckpt")
whole = torch.arange(24, dtype=torch.float32) / 4
save({"conv.weight": whole[:12].reshape(2, 3, 1, 2), "again.weight": whole[:12].reshape(2, 3, 1, 2), "turned": whole[12:18].reshape(2, 3).t(),
      "stepped": whole[1::5], "expanded": whole[3:4].expand(2, 2), "empty": torch.zeros(0, 3), "single": torch.nn.Parameter(torch.tensor(2.5))},
     "strided.pth")
save(torch.nn.Linear(2, 2), "module.pth")
