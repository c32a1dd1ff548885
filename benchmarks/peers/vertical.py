"""The peers of ``benchmarks/vertical.py``: sf-heu's Okamoto-Uchiyama, xgboost, scikit-learn.

Runs in an environment of its own, which that benchmark makes; prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np


def ou(samples: int, features: int, bins: int, depth: int, key_bits: int) -> dict[str, float]:
    """CPU seconds and bytes of one tree's sums, as far as each depth.

    (g, h) are encrypted once; of every level the bins of the smaller children are summed,
    re-randomised and decrypted. Children are halves, the most that smaller ones can be.
    """
    from heu import numpy as hnp
    from heu import phe

    kit = hnp.setup(phe.SchemaType.OU, key_bits)
    encoder, rng = kit.batch_integer_encoder(), np.random.default_rng(0)
    pairs = rng.integers(-(2**15), 2**15, (samples, 2))
    codes = np.ascontiguousarray(rng.integers(0, bins, (samples, features)).astype(np.int8))
    start = time.process_time()
    hidden = kit.encryptor().encrypt(kit.array(pairs, encoder))
    figures = {"encrypt_s": time.process_time() - start}
    sums_s, right, answered = 0.0, True, 0
    for level in range(depth):
        nodes = rng.integers(0, 1 << level, samples)
        asked = [0] if level == 0 else list(range(0, 1 << level, 2))
        groups = [(nodes == node).astype(np.int8) for node in asked]
        start = time.process_time()
        found = kit.evaluator().batch_feature_wise_bucket_sum(hidden, groups, codes, bins, False)
        opened = []
        for sums in found:
            zeros = kit.array(np.zeros((bins * features, 2), int), encoder)
            fresh = kit.evaluator().add(sums, kit.encryptor().encrypt(zeros))
            opened.append(kit.decryptor().decrypt(fresh))
        sums_s += time.process_time() - start
        answered += len(found) * bins * features
        here = groups[0] == 1
        wanted = np.bincount(codes[here, 0], weights=pairs[here, 0], minlength=bins)
        right &= bool((opened[0].to_numpy(encoder)[:bins, 0] == wanted).all())
        figures[f"depth_{level + 1}_s"] = figures["encrypt_s"] + sums_s
        figures[f"back_bytes_{level + 1}"] = answered * key_bits / 8
    return figures | {"bytes": samples * key_bits / 8, "right": float(right)}


def aucs(path: Path) -> dict[str, list[float]]:
    """AUC of xgboost on the joined raw table and of logistic regression on one-hot bins."""
    import xgboost
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    data = np.load(path)
    labels, found = data["labels"], {"xgboost": [], "xgboost_alone": [], "lr": [], "lr_alone": []}
    found["lr_raw_alone"] = []
    for grows in data["splits"]:
        rest = ~grows
        for name, key in (("xgboost", "raw"), ("xgboost_alone", "raw_alone")):
            model = xgboost.XGBClassifier(
                n_estimators=30, max_depth=3, learning_rate=0.3, max_bin=32, n_jobs=1
            ).fit(data[key][grows], labels[grows])
            chance = model.predict_proba(data[key][rest])[:, 1]
            found[name].append(float(roc_auc_score(labels[rest], chance)))
        pairs = (("lr", "hot"), ("lr_alone", "hot_alone"), ("lr_raw_alone", "raw_alone"))
        for name, key in pairs:
            model = LogisticRegression(max_iter=500).fit(data[key][grows], labels[grows])
            score = model.decision_function(data[key][rest])
            found[name].append(float(roc_auc_score(labels[rest], score)))
    return found


def main() -> None:
    """One of the two questions."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    found = aucs(args.table) if args.table else ou(args.samples, 10, 32, args.depth, 3072)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
