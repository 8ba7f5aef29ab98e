# SegFormer-B4 as the competition's first place trained it: 960 px, batch 1 with group
# norm, cross entropy + 3 x Lovasz. Prepare with `tools/prepare_hubmap.py --size 960`.
_base_ = [
    '../_base_/models/daformer_mit.py',
    '../_base_/datasets/hubmap_960x960.py',
    '../_base_/schedules/schedule_120e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        arch='b4',
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/'
            'segformer/mit_b4_20220624-d588d980.pth',
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='SegformerHead',
        in_channels=_base_.stage_channels,
        in_index=[0, 1, 2, 3],
        channels=256,
        dropout_ratio=0.1,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        norm_cfg=dict(type='GN', num_groups=32),
        align_corners=False,
        loss_decode=[
            dict(
                type='CrossEntropyLoss',
                use_sigmoid=True,
                avg_non_ignore=True,
                loss_name='loss_bce',
            ),
            dict(type='BinaryLoss', kind='lovasz', loss_weight=3.0, per_image=False),
        ],
    ),
)
