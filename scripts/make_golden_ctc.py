"""Makes tests/golden/ctc: the CTC loss of random logits as PyTorch computes it, and its gradient, all in f64.

Run it in the environment `models`: $(scripts/python_env.sh models) scripts/make_golden_ctc.py [FOLDER]

expected.safetensors holds logits [4,37,11], frames [4], labels [total], label_lengths [4] (i32; blank is 0), loss_sum [1] and
gradient [4,37,11] of loss_sum. Among the rows are one without labels, one of repeats, and one that just fits."""
import os
import sys

import safetensors.torch
import torch


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "tests", "golden")
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(20240404)
    rows = [[3, 3, 3, 1, 10, 10, 2, 5], [], [4, 4, 4, 4], [1, 2, 1, 2, 2, 9, 8, 7, 6, 5, 4, 3]]
    frames = [37, 20, 7, 30]
    logits = (3 * torch.randn(len(rows), 37, 11, generator=generator, dtype=torch.float64)).requires_grad_()
    labels = torch.tensor(sum(rows, []))
    loss = torch.nn.functional.ctc_loss(logits.log_softmax(-1).transpose(0, 1), labels, torch.tensor(frames),
                                        torch.tensor([len(row) for row in rows]), blank=0, reduction="sum")
    loss.backward()
    folder = os.path.join(out, "ctc")
    os.makedirs(folder, exist_ok=True)
    safetensors.torch.save_file(
        {"logits": logits.detach(), "frames": torch.tensor(frames).int(), "labels": labels.int(),
         "label_lengths": torch.tensor([len(row) for row in rows]).int(), "loss_sum": loss.detach().reshape(1),
         "gradient": logits.grad}, os.path.join(folder, "expected.safetensors"), metadata={"format": "pt"})
    print(f"ctc: loss sum {loss.item():.9f}")


if __name__ == "__main__":
    main()
