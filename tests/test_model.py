"""The network: the paper's sizes, the published function, and gradients everywhere."""

import pytest
import timm
import torch

from benchmarks.reference import PublishedEffiSegNet
from effiseg.encoders import build_encoder
from effiseg.model import build_model

SMALL = "tf_efficientnet_lite0"


def build(encoder=SMALL, upsampling="nearest", pretrained=False):
    torch.manual_seed(0)
    return build_model(encoder, pretrained, 32, upsampling)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(  # millions: without and with the encoder's unused head, as in the paper
    ("encoder", "without", "with_head"),
    [
        ("tf_efficientnet_b0", 3.7447, 4.15686),
        ("tf_efficientnet_b4", 16.95143, 17.75783),
        ("tf_efficientnet_b5", 27.52498, 28.57765),
        ("tf_efficientnet_b7", 62.44021, 64.08373),
    ],
)
def test_parameter_counts_match_the_paper(encoder, without, with_head):
    with torch.device("meta"):
        network = build(encoder)
        full = timm.create_model(encoder)
    head = count(full.conv_head) + count(full.bn2)
    assert count(network) / 1e6 == pytest.approx(without, abs=5e-5)
    assert (count(network) + head) / 1e6 == pytest.approx(with_head, abs=5e-6)


def published_forward(network, images):
    return PublishedEffiSegNet.forward(network, images)


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (72, 56)])
@pytest.mark.parametrize("is_training", [True, False])
def test_the_fast_decoder_computes_the_published_function(size, is_training):
    network = build().train(is_training)
    images = torch.rand(3, 3, *size)
    fast, literal = network(images), published_forward(network, images)
    assert torch.allclose(fast, literal, rtol=1e-4, atol=1e-4)


def test_the_fast_decoder_has_the_published_gradients():
    network = build().eval()
    images = torch.rand(2, 3, 64, 64)
    weights = list(network.parameters())
    fast = torch.autograd.grad(network(images).square().mean(), weights)
    literal = torch.autograd.grad(published_forward(network, images).square().mean(), weights)
    for ours, theirs in zip(fast, literal, strict=True):
        assert (ours - theirs).abs().max() <= 1e-3 * theirs.abs().max()


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_a_gradient_reaches_every_parameter(upsampling):
    network = build(upsampling=upsampling)
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_logits_have_the_size_of_the_images(upsampling):
    assert build(upsampling=upsampling).eval()(torch.rand(1, 3, 100, 68)).shape == (1, 1, 100, 68)


def test_bilinear_upsampling_is_another_function():
    images = torch.rand(1, 3, 64, 64)
    nearest, bilinear = build().eval()(images), build(upsampling="bilinear").eval()(images)
    assert not torch.allclose(nearest, bilinear, atol=1e-4)


@pytest.mark.parametrize(
    "name", [SMALL, "tf_efficientnet_b3", "tf_efficientnetv2_s", "efficientnetv2_rw_s"]
)
def test_an_encoder_gives_five_scales_of_the_widths_it_names(name):
    encoder = build_encoder(name, False)
    features = encoder.network.eval()(torch.rand(1, 3, 64, 64))
    assert [f.shape[1] for f in features] == encoder.channels
    assert [f.shape[-1] for f in features] == [32, 16, 8, 4, 2]


def test_packaged_weights_are_pretrained_ones():
    first, again = build(pretrained=True).encoder, build(pretrained=True).encoder
    other = build().encoder
    assert torch.equal(first.conv_stem.weight, again.conv_stem.weight)
    assert not torch.allclose(first.conv_stem.weight, other.conv_stem.weight, atol=1e-3)
    assert first.bn1.running_mean.abs().sum() > 0  # statistics of images, not initial zeros


def test_weights_may_come_from_a_file(tmp_path):
    torch.manual_seed(5)
    path = tmp_path / "weights.pth"
    full = timm.create_model(SMALL)
    torch.save(full.state_dict(), path)
    loaded = build_encoder(SMALL, str(path)).network
    assert torch.equal(loaded.conv_stem.weight, full.conv_stem.weight)


def test_a_tag_of_timm_names_the_weights_and_no_other_network():
    tagged, plain = (build_encoder(f"tf_efficientnet_b0{tag}", False) for tag in (".aa_in1k", ""))
    assert tagged.network.state_dict().keys() == plain.network.state_dict().keys()
    with pytest.raises(ValueError, match=r"'tf_efficientnet_b0\.none'; expected an EfficientNet"):
        build_encoder("tf_efficientnet_b0.none", False)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match=r"encoder is 'resnet18'; expected an EfficientNet"):
        build("resnet18")


def test_a_missing_file_of_weights_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train\.pretrained: there is no file"):
        build_encoder(SMALL, str(tmp_path / "none.pth"))
