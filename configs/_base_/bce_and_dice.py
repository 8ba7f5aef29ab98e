# Binary cross entropy and Dice, for the few images of one's own: Dice weighs small and
# large units alike, cross entropy steadies it and learns from crops without a unit.
bce_and_dice = [
    dict(
        type='CrossEntropyLoss',
        use_sigmoid=True,
        avg_non_ignore=True,
        loss_name='loss_bce',
    ),
    dict(type='BinaryLoss', kind='dice', smooth=1.0),
]
