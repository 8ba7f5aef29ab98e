# CoaT-Small with a fifth scale and the decoder of the authors' public code, the model
# behind the paper's CoaT row.
# Block 1 (index 0) is the map at stride 4, block 2 (index 1) that at stride 8.
_base_ = './binary_encoder_decoder.py'
stage_channels = [152, 320, 320, 320, 320]  # widths at strides 4, 8, 16, 32, 64
model = dict(
    backbone=dict(
        type='CoaT',
        arch='small_plus1',
        init_cfg=dict(type='Pretrained', checkpoint='timm://coat_small.in1k'),
    ),
    decode_head=dict(
        type='DAFormerHead',
        in_channels=stage_channels,
        embed='conv',
        embed_channels=320,
        upsample='mix',
        fusion='conv1x1',
        channels=320,
        dropout_ratio=0.1,
    ),
)
