"""EffiSeg: train EffiSegNet on Kvasir-SEG, find where it is wrong and why, improve it, prove it.

The modules form an ordered list and import only from those before them:
files, params, recipe, archive, synthetic, images, split, arrays, torchvision_shim, encoders, model,
precision, augment, losses, predict, weights, checkpoints, remedies, training, metrics, scoring,
attributes, error_kinds, findings, comparison, figures, galleries, report.
"""
