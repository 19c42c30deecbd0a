"""Models as the Hugging Face hub keeps them: a folder, on this machine or in a repository there.

A folder holds
    config.json         what builds the network and how its answers are read: see `Config`
    model.safetensors   tensors under the names of `EffiSegNet.state_dict()`, float16 or float32
    scores.json         where the model was judged: see effiseg.shipping

The hub is asked for nothing that is a folder here. Cache and token are where huggingface_hub keeps
them; a token is never printed.
"""

import dataclasses
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi, get_token, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of the HTTP library that it uses; what its own errors derive from
    LocalEntryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, float16

import effiseg.model
from effiseg.answers import RULES
from effiseg.encoders import build_encoder
from effiseg.files import cut_short, show, write_bytes, write_json
from effiseg.params import as_plain, parse_section, require
from effiseg.recipe import Upsampling, require_network

CONFIG, WEIGHTS = "config.json", "model.safetensors"
SCORES = "scores.json"  # not every model has it
SHIPPED = Path(__file__).parent / "shipped"  # a folder for each model of the package
DEFAULT = SHIPPED / "improved"
LARGEST_CONFIG = 1 << 20  # bytes, far above any use
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The plain keys of config.json."""

    encoder: str  # an EfficientNet of timm
    decoder_channels: int
    upsampling: Upsampling
    size: int  # pixels, side of the square input it was trained at
    threshold: float = 0.5  # of the probability of polyp
    test_flips: bool = False  # answers are the mean over four mirror images

    def __post_init__(self) -> None:
        require("encoder", self.encoder, len(self.encoder) < 100, "the name of an encoder of timm")
        require_network(self.decoder_channels, self.size)
        require("threshold", self.threshold, 0 < self.threshold < 1, "between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """What config.json says."""

    limits: dict[str, float] = field(default_factory=dict)  # of warnings, see effiseg.answers

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, limit in self.limits.items():
            require("limits", name, name in RULES, f"names of {tuple(RULES)}")
            is_number = type(limit) in (int, float) and abs(limit) <= sys.float_info.max
            require(f"limits.{name}", limit, is_number, "a number that is finite")


class EffiSegNet(effiseg.model.EffiSegNet):
    """The network, with the usual way to load a published one."""

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None) -> "EffiSegNet":
        """The network of a folder or a repository USER/NAME, float32, in evaluation mode.

        Raises:
            ValueError: `source` is neither, or its weights do not fit its configuration.
            OSError: a file is missing, or the hub can't be reached.
        """
        folder = find_folder(source, revision)
        config = read_config(folder)
        try:
            encoder = build_encoder(config.encoder, pretrained=False)
        except ValueError as error:
            raise ValueError(f"{folder / CONFIG}: {error}") from error
        network = cls(encoder, config.decoder_channels, config.upsampling)
        try:
            network.load_state_dict(read_tensors(folder / WEIGHTS))
        except RuntimeError as error:
            reason = cut_short(error)
            raise ValueError(f"{folder / WEIGHTS} does not fit {CONFIG}: {reason}") from error
        return network.eval()


def find_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder `source`, or that of the repository USER/NAME on the hub, downloaded.

    Raises:
        ValueError: `source` is neither.
        OSError: the hub can't be reached, or does not have the repository or revision.
    """
    if Path(source).is_dir():
        return Path(source)
    if not _REPOSITORY.fullmatch(str(source)):
        raise ValueError(
            f"there is no folder {source}; expected a folder with {CONFIG}, or a repository "
            "USER/NAME of the Hugging Face hub"
        )
    try:
        files = [CONFIG, WEIGHTS, SCORES]
        return Path(snapshot_download(str(source), revision=revision, allow_patterns=files))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise OSError(
            f"{source} is no folder here, and the hub did not give it: {str(error).strip()}"
        ) from error


def read_config(folder: Path) -> Config:
    """What the folder's config.json says.

    Raises:
        ValueError: a key is unknown, missing or of another type; the message names it.
        FileNotFoundError: there is no such file.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {CONFIG}: it is not a model of EffiSeg")
    if (length := path.stat().st_size) > LARGEST_CONFIG:
        raise ValueError(f"{path} has {length} bytes; expected at most {LARGEST_CONFIG}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        limits = dict(found.pop("limits"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = cut_short(error)
        raise ValueError(f"{path} is not a configuration of EffiSeg ({reason})") from error
    settings = parse_section(found, "config", Settings, path)
    try:
        return Config(**as_plain(settings), limits=limits)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, as float32.

    The format holds numbers only: nothing in such a file can run.

    Raises:
        ValueError: the file is not in safetensors format, or holds NaN or infinities, which no
            answer would show.
        FileNotFoundError: it is not there.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        tensors = {name: tensor.float() for name, tensor in load(path.read_bytes()).items()}
    except SafetensorError as error:
        raise ValueError(f"{path} holds no tensors in safetensors format: {error}") from error
    odd = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if odd is not None:
        raise ValueError(f"{path}: tensor {show(odd)} has values that are no finite numbers")
    return tensors


def write_folder(folder: Path, state: dict[str, Tensor], config: Config, half: bool) -> None:
    """Write both files. With `half`, numbers are stored as float16."""
    tensors = {
        name: (tensor.to(float16) if half and tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in state.items()
    }
    write_bytes(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))
    write_json(folder / CONFIG, dataclasses.asdict(config))


def find_address(repo_id: str) -> str:
    """The address of the repository USER/NAME; the hub is not asked whether there is one.

    Raises:
        ValueError: the hub has no repositories of such a name.
    """
    expected = f"{repo_id!r} can't be the name of a repository; expected USER/NAME"
    if not _REPOSITORY.fullmatch(repo_id):
        raise ValueError(f"{expected}, of letters, digits and . _ -")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"{expected}. {error}") from error
    return f"{HfApi().endpoint}/{repo_id}"


def upload_folder(folder: Path, repo_id: str, private: bool, message: str) -> str:
    """Upload the folder as one commit, into a repository that is made where there is none.

    Returns:
        the address of the commit.

    Raises:
        ValueError: the hub has no repositories of such a name, or refuses the card.
        OSError: there is no token, the hub refuses or can't be reached, or the repository is there
            already and is public, though `private`.
    """
    find_address(repo_id)
    token = get_token()
    if not (token and token.isascii() and token.isprintable()):  # no header: errors would show it
        raise OSError(
            "there is no token of the Hugging Face hub here, or it is damaged: log in with "
            "`hf auth login`, or set HF_TOKEN"
        )
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if private and not api.model_info(repo_id).private:  # the hub keeps it as it was made
            raise OSError("it is public already; make it private there, or leave out --private")
        done = api.upload_folder(folder_path=folder, repo_id=repo_id, commit_message=message)
    except (HTTPError, OSError, RuntimeError) as error:
        raise OSError(f"the upload to {repo_id} failed: {' '.join(str(error).split())}") from error
    return str(done.commit_url)
