#!/usr/bin/env bash
# The pretrained model's comparison: gradients measured, prediction made, runs compared.
#
#   cobatrain prepare smollm2
#   bash docs/real/smollm2/run.sh runs/smollm2 12      # folder, runs at a time
#   bash docs/real/smollm2/run.sh runs/smollm2 2 uniform,coba
#
# On one GPU of 80 GB and 16 CPU cores in minutes. On two CPU cores with AMX a run takes 10 to 12.5
# minutes of one core: 2 hours for uniform and coba, 5 for all. No number of a compared run enters
# the prediction: it is made from three files of gradients, two of them from a run of its own (seed
# 100).
set -euo pipefail
out=$1 jobs=$2 names=${3:-uniform,knapsack,coba,signal,signal-skip,signal-parts}
settings=(--set engine.name=transformers --set engine.subprocess=false --set evaluation.samples=8
  --set loop.eval_every=20 --set checkpoint.every=20)
measured=(--method rollouts --prompts 128 --groups 96 --rollouts 16 --rank 256)
arms=(--allocators "$names" --weightings rollout,prompt)
cobatrain=${COBATRAIN:-cobatrain}
mkdir -p "$out"
$cobatrain train smollm2 --allocator uniform --seed 100 "${settings[@]}" \
  --set checkpoint.every=10 --set checkpoint.keep=4 \
  --out "$out/pilot" > "$out/pilot.log" 2>&1 &
pilot=$!
$cobatrain gradients smollm2 "${settings[@]}" "${measured[@]}" --out "$out/g0.npz" > "$out/g0.log" 2>&1
wait $pilot
(
  for step in 10 20; do  # features of step 40 would come too late for a run of 40 steps
    $cobatrain gradients "$out/pilot" --step $step --like "$out/g0.npz" "${measured[@]}" \
      --out "$out/g$step.npz" > "$out/g$step.log" 2>&1
  done
  $cobatrain predict smollm2 --measured "$out/g0.npz,$out/g10.npz,$out/g20.npz" \
    "${arms[@]}" --seeds 16 --jobs 3 "${settings[@]}" --json --out "$out/predict" \
    > "$out/predicted.json" 2> "$out/predict.log"
) &
prediction=$!
$cobatrain compare smollm2 "${arms[@]}" --seeds 4 --jobs "$jobs" "${settings[@]}" \
  --set checkpoint.keep=1 --out "$out/compare" > "$out/compare.log" 2>&1
wait $prediction
