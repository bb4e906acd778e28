import pytest
import timm
import torch
from torch import nn

from fairtask._images._backbone import (
    BackboneTrunk,
    layer_scales,
    make_backbone,
    stages,
    without_decay,
)

SIZE = (32, 32)


class Tiny(nn.Module):
    """A convolution, its normalisation and a linear layer: three children."""

    def __init__(self, width=5):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.out = nn.Linear(4, width)

    def forward(self, X):
        return self.out(self.norm(self.conv(X)).mean(dim=(2, 3)))


def make(backbone="test_convnext", **kwargs):
    defaults = {"pretrained": False, "image_size": SIZE, "params": None}
    return make_backbone(backbone, **{**defaults, **kwargs})


def make_trunk(backbone=None, **kwargs):
    defaults = {
        "hidden_layer_sizes": (),
        "dropout": 0.0,
        "freeze": None,
        "channels_last": False,
        "mixed_precision": False,
    }
    config = {"size": SIZE, "mean": (0.5, 0.25, 0.0), "std": (0.5, 0.25, 1.0)}
    return BackboneTrunk(backbone or Tiny(), config, **{**defaults, **kwargs})


class TestMakeBackbone:
    @pytest.mark.parametrize(
        ("name", "width"),
        [
            ("test_convnext", 64),
            ("test_resnet", 96),
            ("test_vit", 64),
            ("test_efficientnet", 256),
        ],
    )
    def test_width_is_the_one_before_the_classifier(self, name, width):
        model, config = make(name)
        assert model.head_hidden_size == width
        assert make_trunk(model).out_features == width
        assert make_trunk(model)(torch.zeros(2, 3, *SIZE)).shape == (2, width)
        assert config["size"] == SIZE

    def test_config_is_that_of_the_model(self):
        _, config = make("test_efficientnet", image_size=None)
        assert config == {
            "size": (160, 160),
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "interpolation": "bicubic",
        }

    @pytest.mark.parametrize("rate", [0.0, 0.3])
    def test_params_reach_the_model(self, rate):
        model, _ = make("test_resnet", params={"drop_path_rate": rate})
        rates = [m.drop_prob for m in model.modules() if hasattr(m, "drop_prob")]
        assert max(rates, default=0) == pytest.approx(rate)

    def test_weights_from_a_file(self, tmp_path):
        torch.manual_seed(1)
        source = timm.create_model("test_convnext")
        torch.save(source.state_dict(), tmp_path / "weights.pth")
        model, _ = make(
            pretrained=True,
            params={"pretrained_cfg_overlay": {"file": str(tmp_path / "weights.pth")}},
        )
        assert torch.equal(model.stem[0].weight, source.stem[0].weight)

    def test_module_is_copied(self):
        module = Tiny()
        model, config = make(module, image_size=None)
        assert model is not module
        assert torch.equal(model.conv.weight, module.conv.weight)
        assert config["size"] == (224, 224)
        assert config["mean"] == (0.485, 0.456, 0.406)

    @pytest.mark.parametrize(
        ("backbone", "size", "width"),
        [
            (timm.create_model("test_convnext", num_classes=10), SIZE, 64),
            (Tiny().double(), SIZE, 5),
            ("test_vit", (48, 32), 64),  # is made for images of one size
        ],
    )
    def test_output(self, backbone, size, width):
        model, _ = make(backbone, image_size=size)
        assert model(torch.zeros(1, 3, *size)).shape == (1, width)

    @pytest.mark.parametrize(
        ("backbone", "kwargs", "message"),
        [
            ("convnxt_tiny", {}, r"got 'convnxt_tiny'. Similar: \[.*'convnext_tiny'"),
            ("###", {}, r"timm\.list_models"),
            ("test_convnext", {"params": {"bad": 1}}, r"cannot be made .*'bad'"),
            ("test_convnext", {"params": {"num_classes": 2}}, r"\['num_classes'\]"),
            ("test_convnext.none", {"pretrained": True}, "Invalid pretrained tag"),
            (Tiny(), {"params": {"drop_rate": 1}}, "is a module; got both"),
        ],
    )
    def test_wrong_arguments(self, backbone, kwargs, message):
        with pytest.raises(ValueError, match=message):
            make(backbone, **kwargs)

    def test_missing_weights(self, tmp_path):
        overlay = {"pretrained_cfg_overlay": {"file": str(tmp_path / "none.pth")}}
        with pytest.raises(ValueError, match=r"cannot be read .*none\.pth.*False"):
            make(pretrained=True, params=overlay)
        (tmp_path / "none.pth").write_bytes(b"no weights")
        with pytest.raises(ValueError, match=r"cannot be made .*none\.pth"):
            make(pretrained=True, params=overlay)


class TestStages:
    @pytest.mark.parametrize(
        ("name", "n"),
        # A stem and four stages; a stem and six blocks. Norms at the end are none.
        [("test_convnext", 5), ("test_resnet", 5), ("test_vit", 7)],
    )
    def test_of_timm(self, name, n):
        model, _ = make(name)
        found = stages(model)
        assert len(found) == n
        names = sorted(name for part in found for name in part)
        assert names == sorted(dict(model.named_parameters()))

    def test_of_a_module_are_its_children(self):
        assert stages(Tiny()) == [
            ["conv.weight", "conv.bias", "norm.weight", "norm.bias"],
            ["out.weight", "out.bias"],
        ]

    def test_without_decay(self):
        assert without_decay(Tiny()) == {
            "conv.bias", "norm.weight", "norm.bias", "out.bias"
        }  # fmt: skip
        model, _ = make("test_vit")
        assert {"cls_token", "pos_embed"} <= without_decay(model)
        assert "blocks.0.attn.qkv.weight" not in without_decay(model)

    def test_layer_scales(self):
        scales = layer_scales(Tiny(), 0.5)
        assert scales["conv.bias"] == scales["norm.weight"] == 0.5
        assert scales["out.weight"] == 1
        # The layers of timm's models are their blocks.
        scales = layer_scales(make("test_convnext")[0], 0.5)
        assert scales["head.norm.weight"] == 1
        assert scales["stem.0.weight"] == min(scales.values()) < 0.5**6


class TestTrunk:
    def test_normalises_small_integers(self):
        trunk = make_trunk()
        X = torch.full((1, 3, *SIZE), 255, dtype=torch.uint8)
        normalised = torch.tensor([1.0, 3.0, 1.0]).view(3, 1, 1).expand(1, 3, *SIZE)
        torch.testing.assert_close(trunk.eval()(X), trunk(normalised))

    def test_features_take_the_place_of_images(self):
        trunk = make_trunk(hidden_layer_sizes=(7,)).eval()
        X = torch.rand(2, 3, *SIZE)
        assert trunk.out_features == 7
        torch.testing.assert_close(trunk({"feature": trunk.features(X)}), trunk(X))

    @pytest.mark.parametrize("channels_last", [True, False])
    def test_layout_does_not_change_the_result(self, channels_last):
        torch.manual_seed(0)
        model, _ = make("test_resnet")
        X = torch.rand(2, 3, *SIZE)
        expected = model.eval()(X)
        trunk = make_trunk(model, channels_last=channels_last).eval()
        torch.testing.assert_close(trunk(X), expected, rtol=1e-4, atol=1e-5)

    def test_mixed_precision_ends_with_the_backbone(self):
        trunk = make_trunk(mixed_precision=True, hidden_layer_sizes=(7,))
        seen = []
        trunk.backbone.conv.register_forward_hook(lambda *a: seen.append(a[2].dtype))
        h = trunk(torch.rand(2, 3, *SIZE))
        assert seen == [torch.bfloat16]
        assert h.dtype == torch.float32
        h.sum().backward()
        assert trunk.backbone.conv.weight.grad.dtype == torch.float32

    @pytest.mark.parametrize(
        ("freeze", "frozen"),
        [
            (None, ""),
            (0, ""),
            (1, "conv norm"),
            (-1, "conv norm"),
            ("backbone", "conv norm out"),
        ],
    )
    def test_freeze(self, freeze, frozen):
        trunk = make_trunk(freeze=freeze)
        found = {
            name.split(".")[0]
            for name, weight in trunk.backbone.named_parameters()
            if not weight.requires_grad
        }
        assert found == set(frozen.split())

    @pytest.mark.parametrize("affine", [True, False])
    @pytest.mark.parametrize("freeze", [None, 1])
    def test_running_statistics_of_frozen_stages_are_kept(self, freeze, affine):
        module = Tiny()
        module.norm = nn.BatchNorm2d(4, affine=affine)
        trunk = make_trunk(module, freeze=freeze).train()
        before = trunk.backbone.norm.running_mean.clone()
        trunk(torch.rand(4, 3, *SIZE))
        is_kept = torch.equal(before, trunk.backbone.norm.running_mean)
        assert is_kept == (freeze == 1)

    def test_a_backbone_that_is_frozen_is_never_in_training(self):
        trunk = make_trunk(nn.Sequential(nn.Dropout(), Tiny()), freeze="backbone")
        trunk.train()
        assert trunk.training
        assert not any(module.training for module in trunk.backbone.modules())

    def test_dropout_is_on_the_feature(self):
        trunk = make_trunk(dropout=0.5)
        X = torch.rand(64, 3, *SIZE)
        share = (trunk.train()(X) == 0).float().mean()
        assert 0.3 < share < 0.7
        assert (trunk.eval()(X) != 0).all()

    def test_frozen_weights_of_a_module_stay_frozen(self):
        module = Tiny()
        module.conv.weight.requires_grad_(False)
        assert not make_trunk(module).backbone.conv.weight.requires_grad

    @pytest.mark.parametrize(
        ("freeze", "message"),
        [
            (2, "between -1 and 1 .*; got 2"),
            (-2, "between -1 and 1 .*; got -2"),
            (True, "number of stages .*; got True"),
            (False, "number of stages .*; got False"),
        ],
    )
    def test_wrong_freeze(self, freeze, message):
        with pytest.raises(ValueError, match=message):
            make_trunk(freeze=freeze)

    @pytest.mark.parametrize(
        ("module", "message"),
        [
            (nn.Conv2d(3, 4, 1), r"shape \(n_samples, width\).*\(1, 4, 32, 32\)"),
            (nn.Conv2d(1, 4, 1), r"cannot compute .* sample of shape \(3, 32, 32\)"),
            (nn.Flatten(0), r"its output has shape \(3072,\)"),
        ],
    )
    def test_output_must_be_a_feature(self, module, message):
        with pytest.raises(ValueError, match=message):
            make_trunk(module)
