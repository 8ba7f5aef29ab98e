# What all recipes for one's own tissue share: crops of 224 px, batches of 8, BCE and
# Dice, one warm-up and one cosine.
_base_ = [
    './datasets/tissue_224x224.py',
    './schedules/schedule_tissue.py',
    './bce_and_dice.py',
    './default_runtime.py',
]
