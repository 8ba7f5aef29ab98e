# EfficientNet-Lite0 up to stride 16 (ImageNet weights of a Python package, no hub) + a
# narrow U-Net: 1.1 M parameters, 2 MB in float16. It was made to be passed on.
_base_ = './lite0_unet.py'
stage_channels = [24, 40, 112]  # widths at strides 4, 8, 16
model = dict(
    backbone=dict(out_indices=[1, 2, 3]),  # of strides 2, 4, 8, 16 and 32
    decode_head=dict(
        in_channels=stage_channels,
        # two blocks with a skip (strides 8, 4), two without (2 and 1)
        decoder_channels=[96, 64, 32, 16],
    ),
)
