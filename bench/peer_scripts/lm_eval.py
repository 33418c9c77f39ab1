"""The batch with lm-eval, in its own environment: a task of its own form, 100 connections, its samples logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})

TASK = """task: loop
dataset_path: json
dataset_kwargs:
  data_files:
    test: {samples}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  max_gen_toks: 5
  until: []
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""


def main(folder: Path, url: str, count: int) -> None:
    """One run of its command line, from nothing to its results on disk."""
    samples = folder / "samples.jsonl"
    lines = [json.dumps({"question": f"Say ok, number {n}.", "answer": "ok"}) for n in range(count)]
    samples.write_text("\n".join(lines) + "\n")
    (folder / "loop.yaml").write_text(TASK.format(samples=samples))
    model = (
        f"model=loopback,base_url={url}/v1/chat/completions,num_concurrent=100,max_retries=1,"
        "tokenized_requests=False,tokenizer_backend=None"
    )
    command = [str(Path(sys.executable).parent / "lm_eval"), "run", "--model", "local-chat-completions"]
    command += ["--model_args", model, "--tasks", "loop", "--include_path", str(folder), "--apply_chat_template"]
    command += ["--log_samples", "--output_path", str(folder / "out")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "OPENAI_API_KEY": "x"}
    begun = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, **offline}, cwd=folder, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    (results,) = folder.glob("out/**/results_*.json")
    if json.loads(results.read_text())["results"]["loop"]["exact_match,none"] != 1:
        sys.exit("a wrong score")
    sys.stdout.write(json.dumps({"count": count, "seconds": seconds}) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(made), sys.argv[1], int(sys.argv[2]))
