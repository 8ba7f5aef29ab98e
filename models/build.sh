#!/usr/bin/env bash
# Make a model again:  models/build.sh DATA WORK glomeruli_pas|prostate_glands_he
# DATA holds kidney_glomeruli_pas/ and prostate_rings/ (see README.md), WORK takes prepared
# images, runs and scores. What is done is not repeated; delete WORK to begin afresh.
set -euo pipefail
DATA=$(realpath "$1")
mkdir -p "$2"
WORK=$(realpath "$2")
MODELS=$(dirname "$(realpath "$0")")
RECIPE=mmseg_ftu::tissue/lite0_unet_small_switch.py

# Images and masks of one set, in folds. Further arguments are those of `prepare pairs`.
prepare() { # NAME SOURCE [OPTION ...]
  local name=$1 source=$2
  shift 2
  [ -f "$WORK/$name/data/folds.csv" ] && return
  mmseg-ftu stain-target "$source/images" "$WORK/$name/target" --size 512
  mmseg-ftu prepare pairs "$source" "$WORK/$name/data" --size 512 --empty keep --folds 3 \
    --stain vahadane --stain-target "$WORK/$name/target.json" "$@"
}

# Three models that each leave out a fold, the scores of the folds, and one model of all.
train_and_score() { # NAME EPOCHS
  local work=$WORK/$1 epochs=$2 fold
  export FTU_DATA=$work/data
  for fold in 0 1 2; do
    train "$work/fold_$fold" "$epochs" "FOLD=$fold"
    mmseg-ftu predict "$RECIPE" "$work/fold_$fold/epoch_$epochs.pth" --input "$FTU_DATA" \
      --fold "$fold" --output "$work/predicted/$fold" --save masks overlays probabilities
  done
  train "$work/all" "$epochs" FOLD=0 train_dataloader.dataset.split=all
  mkdir -p "$work/masks"
  cp "$work"/predicted/?/masks/* "$work/masks"
  mmseg-ftu evaluate "$work/masks" "$FTU_DATA" --out "$work/scores"
}

train() { # WORK_DIR EPOCHS FOLD=NUMBER [CFG_OPTION ...]
  local folder=$1 epochs=$2 fold=$3 resume=()
  shift 3
  [ -f "$folder/epoch_$epochs.pth" ] && return
  [ -d "$folder" ] && resume=(--resume)
  env "$fold" mmseg-ftu train "$RECIPE" --work-dir "$folder" --epochs "$epochs" "${resume[@]}" \
    --cfg-options "train_cfg.val_interval=$epochs" "$@"
}

# The model of all images, beside this script. Its card holds the scores of the folds.
export_one() { # NAME EPOCHS UNIT ORGAN SOURCE DATA IMAGE
  mmseg-ftu export model "$WORK/$1/all/epoch_$2.pth" "$MODELS/$1" --overwrite --half \
    --unit "$3" --organ "$4" --data-source "$5" --author "the authors of mmseg_ftu" \
    --license CC-BY-4.0 --data "$6" --data-license CC-BY-4.0 --image "$7" \
    --scores "$WORK/$1/scores/evaluation_groups.csv"
}

NOTE='The scores are those of three models that each left out a third of the tiles'

glomeruli_pas() {
  # The paper says 20x, which is .5 um/px on that scanner. Whole glomeruli are then 183 um wide
  # (median of the masks), as they should be.
  prepare glomeruli-pas "$DATA/kidney_glomeruli_pas" --organ kidney --data-source AIDPATH \
    --pixel-size 0.5
  train_and_score glomeruli-pas 90 # 180 steps on the tiles of two folds, 270 on all
  export_one glomeruli-pas 90 glomerulus kidney AIDPATH "24 tiles of 1024 x 1024 px, human kidney, PAS, of \
AIDPATH (Bueno et al. 2020, https://doi.org/10.17632/k7nvtgn2x6), with masks by a Kaggle user. $NOTE, \
which may come from the same slides" "$DATA/kidney_glomeruli_pas/images/10064.png"
}

prostate_glands_he() {
  # Tiles with tumour have no benign glands labelled, so they are left out. Tiles of one core
  # (P4_A13_...) stay in one fold.
  GLANDS=$WORK/prostate_gland_tiles
  python - "$DATA/prostate_rings" "$GLANDS" <<'PYTHON'
import shutil
import sys
from pathlib import Path

import cv2

source, target = map(Path, sys.argv[1:])
rows = ['id,core']
for mask in sorted((source / 'masks').glob('*.png')):
    if cv2.imread(str(mask), cv2.IMREAD_UNCHANGED).max() > 1:
        continue
    for part in ('images', 'masks'):
        (target / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(source / part / mask.name, target / part)
    rows.append(f'{mask.stem},{"_".join(mask.stem.split("_")[:2])}')
(target / 'index.csv').write_text('\n'.join(rows) + '\n')
PYTHON
  prepare prostate-glands-he "$GLANDS" --organ prostate --data-source RINGS \
    --index index.csv --group-column core
  train_and_score prostate-glands-he 150 # as many steps
  export_one prostate-glands-he 150 gland prostate RINGS "10 tiles of 512 x 512 px, benign glands of human \
prostate, H&E, of RINGS (Salvi et al. 2021, https://doi.org/10.17632/h8bdwrtnr5.1). $NOTE; tiles of \
one tissue core stay together, patients may not. Neither tumour nor the glass of a slide was ever \
shown to it: it takes glass for gland" \
  "$DATA/prostate_rings/images/P4_A13_14_9_7.png"
}

"${3:?name the model: glomeruli_pas or prostate_glands_he}"
