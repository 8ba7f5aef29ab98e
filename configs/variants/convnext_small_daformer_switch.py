# ConvNeXt-Small of mmpretrain (used by the second place of the competition beside CoaT)
# with the DAFormer decoder: how any backbone of mmpretrain takes part. Its four maps
# have the strides 4 to 32 of the other models, so head and switch apply unchanged.
_base_ = ['../ftu/mit_daformer_switch.py']
custom_imports = dict(
    imports=[*_base_.custom_imports.imports, 'mmpretrain.models'],
    allow_failed_imports=False,
)
stage_channels = [96, 192, 384, 768]
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch='small',
        out_indices=[0, 1, 2, 3],
        gap_before_final_norm=False,  # maps, not one vector
        drop_path_rate=0.4,  # mmpretrain's value for this size
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://mmassets.onedl.ai/mmclassification/v0/convnext/'
            'convnext-small_in21k-pre_3rdparty_in1k_20221219-aeca4c93.pth',
            prefix='backbone.',
        ),
    ),
    decode_head=dict(in_channels=stage_channels),
    auxiliary_head=dict(in_channels=stage_channels),
)
