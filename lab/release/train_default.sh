#!/usr/bin/env bash
# Trains the default model on a machine that is held for a while and reached in short calls, with no network.
#
#   lab/release/train_default.sh store FOLDER           keep FOLDER's shards and VGG16 features on this machine
#   lab/release/train_default.sh train OUTPUT SECONDS   train on all that was stored, and stop by itself
#
# `store` is called once per piece, each as small as the way to the machine demands; what has arrived stays in STORE.
# `train` continues the run in STORE if there is one, else the files of an earlier run in RESUME, else it starts from
# the weights in training/default. Checkpoints are written every two minutes, to STORE and at the end to OUTPUT, in
# files of at most 15 MB each. The learning rate follows a cosine over TOTAL seconds, which may span several calls.
#
# Environment: STORE, RESUME, TOTAL (default: SECONDS), OPTIONS (JSON, over those below), PYTHON.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
store=${STORE:-/tmp/wavepaint-store}
python=${PYTHON:-python3}
export PYTHONPATH="$here/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

case ${1:-} in
store)
    mkdir -p "$store"
    cp -n "${2:?which folder}"/*.tar "$store"/ 2>/dev/null || true
    cp -n "$2"/vgg16_features.safetensors "$store"/ 2>/dev/null || true
    ls -l "$store"
    ;;
train)
    output=${2:?output folder} seconds=${3:?seconds to train}
    run="$store/run"
    if [ ! -e "$run/progress.json" ] && [ -n "${RESUME:-}" ]; then
        mkdir -p "$run"
        cp "$RESUME"/* "$run"/
    fi
    arguments=(--time-limit "$seconds" --max-side 384 -o "$run")
    if [ -e "$run/progress.json" ]; then
        arguments+=(--resume)
    elif [ -e "$here/lab/release/default_model/ema.safetensors" ]; then
        arguments+=(--init "$here/lab/release/default_model/ema.safetensors")
    fi
    vgg=
    if [ -e "$store/vgg16_features.safetensors" ]; then
        arguments+=(--vgg-weights "$store/vgg16_features.safetensors")
        vgg=', "vgg-features": 10, "checkerboard": 6'
    fi
    # Losses, masks and crops as in the last runs on a CPU; batch, sides and rate for an accelerator are not measured.
    defaults=$(printf '{"seconds": %s, "crop": [128, 256], "batch": 64, "learning_rate": 0.002, "warmup": 500,
        "masks": ["thin", "medium", "medium", "thick", "thick", "thick", "everyday"], "mask_bank": 20000,
        "losses": {"hole-l1": 1, "chroma": 3, "gradient": 0.5, "hole-ssim": 0.5%s}, "vgg_side": 64,
        "vgg_colours": false, "self_condition": 0.4, "smooth": 0.15, "grey": 0.12, "ema": 0.9995}' "${TOTAL:-$seconds}" "$vgg")
    "$python" -m wavepaint.training.resident "$store"/*.tar "${arguments[@]}" \
        --options "$defaults" --options "${OPTIONS:-{\}}"
    mkdir -p "$output"
    cp "$run"/* "$output"/
    cat "$output/progress.json"
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2
    exit 2
    ;;
esac
