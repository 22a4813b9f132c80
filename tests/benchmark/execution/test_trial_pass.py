"""The trial pass: what would fail in training, or train in vain, is one line before; what is right says nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.execution.trial_pass import try_network
from benchmark.models.outputs import adapt

RECIPE = Recipe(image_size=64, epochs=1)


class Net(nn.Module):
    """One map, and what a test makes of it."""

    def __init__(self, give: Callable[[Net, torch.Tensor], Any]) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, padding=1)
        self.norm, self.head, self.edge = nn.BatchNorm2d(8), nn.Conv2d(8, 1, 1), nn.Conv2d(8, 2, 1)
        self.give = give

    def forward(self, image: torch.Tensor) -> Any:
        return self.give(self, torch.relu(self.norm(self.features(image))))


def small(x: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(x, 4)


REFUSED: dict[str, tuple[Callable[[Net, torch.Tensor], Any], str]] = {
    "squeezed": (lambda n, f: (n.head(f)[:, 0],), r"returns \(2, 64, 64\); expected \(2, 1, 64, 64\).*unsqueeze"),
    "quarter": (lambda n, f: (small(n.head(f)),), r"\(2, 1, 16, 16\).*enlarge"),
    "last": (lambda n, f: (small(n.head(f)), n.head(f)), r"outputs=last_first"),
    "two classes": (lambda n, f: n.edge(f), r"\(2, 2, 64, 64\).*outputs=two_class"),
    "four classes": (lambda n, f: torch.cat([n.edge(f)] * 2, 1), r"\(2, 4, 64, 64\); expected"),
    "dictionary": (lambda n, f: {"out": n.head(f), "aux": n.edge(f)}, r"a dictionary \(out, aux\).*outputs=key:out"),
    "nothing": (lambda n, f: (), "returns a tuple; expected"),
    "text": (lambda n, f: "map", "returns a str; expected"),
    "nan": (lambda n, f: (torch.log(-n.head(f).abs() - 1),), "not finite"),
    "raises": (lambda n, f: n.missing(f), "forward of images .* fails with AttributeError"),
    "no gradient at all": (lambda n, f: (n.head(f).detach(),), r"the loss \(bce_dice\) of its outputs fails"),
}


@pytest.mark.parametrize(("give", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_is_refused_with_the_shape_wanted(give: Any, words: str) -> None:
    with pytest.raises(BenchError, match=rf"^model mine: .*{words}"):
        try_network(Net(give), RECIPE, "mine")


def test_a_function_in_place_of_a_network() -> None:
    with pytest.raises(BenchError, match=r"returns a function; expected a torch\.nn\.Module"):
        try_network(lambda x: x, RECIPE, "mine")  # type: ignore[arg-type, return-value]


NOTED: dict[str, tuple[Callable[[Net, torch.Tensor], Any], list[str]]] = {
    "right": (lambda n, f: (n.head(f), small(n.edge(f)[:, :1])), []),
    "a tensor": (lambda n, f: n.head(f) + n.edge(f)[:, :1], []),
    "a tuple in training alone": (
        lambda n, f: (n.head(f), small(n.edge(f)[:, :1])) if n.training else n.head(f) + 0 * n.edge(f)[:, :1],
        [],
    ),
    "sigmoid": (lambda n, f: (torch.sigmoid(n.head(f) + n.edge(f)[:, :1]),), ["values lie in [0, 1]"]),
    "second map of two channels": (lambda n, f: (n.head(f), n.edge(f)), ["item 1 is (2, 2, 64, 64)", "edge.weight"]),
    "a part unused": (lambda n, f: (n.head(f),), ["no gradient reaches edge.weight, edge.bias"]),
}


@pytest.mark.parametrize(("give", "words"), NOTED.values(), ids=NOTED)
def test_what_may_not_be_meant_is_a_note(give: Any, words: list[str]) -> None:
    notes = try_network(Net(give), RECIPE, "mine")
    assert len(notes) == len(words) and all(word in note for word, note in zip(words, notes, strict=True)), notes


def test_a_loss_of_its_own_and_frozen_weights_are_noted() -> None:
    net = Net(NOTED["right"][0])
    net.loss = lambda outputs, mask: outputs[0].mean()  # type: ignore[assignment]
    net.features.requires_grad_(False)
    notes = try_network(net, RECIPE, "mine")
    assert "--set loss=native" in notes[0] and "frozen (requires_grad = False): features.weight" in notes[1]
    assert not any("loss" in note for note in try_network(net, RECIPE.model_copy(update={"loss": "native"}), "mine"))


def test_a_trial_leaves_no_trace() -> None:
    """The draws that come after are those that would have come without."""
    net = Net(NOTED["right"][0])
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    try_network(net, RECIPE, "mine")
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("how", "name"), [("last_first", "last"), ("two_class", "two classes"), ("key:out", "dictionary")]
)
def test_an_adapter_by_name_makes_it_right(how: str, name: str) -> None:
    net = Net(REFUSED[name][0])
    before = list(net.state_dict())
    recipe = RECIPE.model_copy(update={"outputs": how})
    assert not [
        note for note in try_network(adapt(net, how), recipe, "mine") if "gradient" not in note and "item" not in note
    ]
    assert list(net.state_dict()) == before


def test_two_classes_are_their_softmax() -> None:
    net = adapt(Net(REFUSED["two classes"][0]), "two_class").eval()
    image = torch.rand(1, 3, 64, 64)
    (logit,) = net(image)
    features = torch.relu(net.norm(net.features(image)))
    torch.testing.assert_close(logit.sigmoid(), net.edge(features).softmax(1)[:, 1:])


@pytest.mark.parametrize(("how", "words"), [("key:oot", "did you mean 'out'"), ("last_first", "key:NAME")])
def test_an_adapter_that_does_not_fit_says_so(how: str, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        try_network(adapt(Net(REFUSED["dictionary"][0]), how), RECIPE, "mine")
