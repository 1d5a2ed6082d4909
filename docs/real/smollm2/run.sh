#!/usr/bin/env bash
# The pretrained model's comparison: gradients measured, prediction made, runs compared.
#
#   cobatrain prepare smollm2
#   bash docs/real/smollm2/run.sh runs/smollm2 12      # folder, runs at a time
#
# On one GPU of 80 GB and 16 CPU cores in minutes; on two CPU cores in a day. No number of a compared
# run enters the prediction: it is made from two files of gradients, the second from a run of its own
# (seed 100).
set -euo pipefail
out=$1 jobs=$2
settings=(--set engine.name=transformers --set engine.subprocess=false --set evaluation.samples=8
  --set checkpoint.every=20)
measured=(--method rollouts --prompts 128 --groups 96 --rollouts 16 --rank 256)
arms=(--allocators uniform,knapsack,coba,signal,signal-skip --weightings rollout,prompt)
cobatrain=${COBATRAIN:-cobatrain}
mkdir -p "$out"
$cobatrain train smollm2 --allocator uniform --seed 100 "${settings[@]}" --set checkpoint.keep=3 \
  --out "$out/pilot" > "$out/pilot.log" 2>&1 &
pilot=$!
$cobatrain gradients smollm2 "${settings[@]}" "${measured[@]}" --out "$out/g0.npz" > "$out/g0.log" 2>&1
wait $pilot
(
  $cobatrain gradients "$out/pilot" --step 40 --like "$out/g0.npz" "${measured[@]}" \
    --out "$out/g40.npz" > "$out/g40.log" 2>&1
  $cobatrain predict smollm2 --measured "$out/g0.npz,$out/g40.npz" "${arms[@]}" --seeds 16 --jobs 3 \
    "${settings[@]}" --json --out "$out/predict" > "$out/predicted.json" 2> "$out/predict.log"
) &
prediction=$!
$cobatrain compare smollm2 "${arms[@]}" --seeds 4 --jobs "$jobs" "${settings[@]}" \
  --set checkpoint.keep=0 --out "$out/compare" > "$out/compare.log" 2>&1
wait $prediction
