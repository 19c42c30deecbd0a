"""EffiSeg: train EffiSegNet on Kvasir-SEG, find where it is wrong and why, improve it, prove it.

Its modules and the one direction of their imports: docs/architecture.md.
"""
