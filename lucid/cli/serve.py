"""Serve a page on this computer where one drops a photo and sees its classes and a heat map of the evidence.

    lucid serve runs/photos                        # http://127.0.0.1:7860
    lucid serve convnext_tiny.fb_in1k --port 8000
    lucid serve mine.safetensors --top 3 --open    # opens the browser
    lucid serve convnext_base.clip_laion2b --text-embeddings pets.safetensors   # zero-shot, as in lucid classify

The server listens on 127.0.0.1 only, and answers no requests for other host names. Photos are decoded as by lucid
classify, kept in a temporary folder until the server stops, and sent nowhere: the page may load nothing from other
hosts, which the browser enforces, and Gradio's telemetry is switched off. The heat map is Grad-CAM's.

With --text-embeddings the classes are the texts in the file: the probabilities compare the photo only with these texts,
and the heat map shows what in the photo resembles the best match.

Ctrl-C stops the server. The exit code is 0 then, 1 if a download fails, and 2 for a usage error.
Requires pip install "lucid-mlx[serve]".
"""

import argparse
import os
import socket
import sys
import tempfile
import threading
import warnings
import webbrowser
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from PIL import Image

from lucid import explain, models, nn
from lucid.cli._common import Parser, add_device_option, message_of, positive, use_device
from lucid.cli.classifier import add_text_embeddings_option, load_classifier, predicted
from lucid.cli.photos import Skipped, prepare
from lucid.data.image_folder import num_cores
from lucid.evaluation import ZeroShotClassifier
from lucid.explain._classifier import task_of

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
# The page is Gradio's, with scripts and styles inside; it may load nothing from elsewhere.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
_MISSING = 'lucid serve needs gradio, which is not installed: pip install "lucid-mlx[serve]"'
_FONTS = ["system-ui", "sans-serif"]  # nothing to load
_STYLE = ".gradio-container { max-width: 960px !important; margin: auto; }"
_TEXT = "Drop a photo. It stays on this computer. The heat map shows what the most probable class is based on."
_LABELS = "Each has a probability of its own; a photo has those above 50 %."
_ZERO_SHOT = "The classes are texts, and the probabilities compare a photo with these texts only."

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="a published checkpoint (lucid.models.list_models(pretrained=True)), a weights file, or a run"
    )
    parser.add_argument("--port", type=port, default=7860, metavar="N", help="port (default: 7860; 0 takes a free one)")
    parser.add_argument("--image-size", type=positive, metavar="PX", help="image size, if other than the model's own")
    parser.add_argument("--top", type=positive, default=5, metavar="N", help="classes to show (default: 5)")
    add_text_embeddings_option(parser)
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    add_device_option(parser)
    return parser


def port(word: str) -> int:
    """An ``argparse`` type."""
    if not word.isdecimal() or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port, 0 to 65535, got {word!r}")
    return int(word)


class BadPhotoError(ValueError):
    """A file that cannot be read as an image; the message is for the page."""


def answer(model: nn.Module, path: str | os.PathLike[str], top: int) -> tuple[dict[str, float], Image.Image]:
    """The most probable classes of a photo with their probabilities, and its heat map.

    Raises:
        BadPhotoError: The file cannot be read as an image.
    """
    one = prepare(model, Path(path), False, True)
    if isinstance(one, Skipped):
        raise BadPhotoError(f"{Path(path).name}: {one.reason}")
    [(_, found, heat)] = predicted(model, [one], top, True)
    count = Counter(model.class_names)  # ImageNet has two cranes
    classes = {name if count[name] == 1 else f"{name} ({number})": value for number, name, value in found}
    return classes, explain.overlay(one.crop, heat)


class LocalOnly:
    """An ASGI application that refuses requests for other hosts, and tells browsers to load nothing from them.

    Web pages cannot reach the server under a name of theirs that leads to this computer (DNS rebinding).
    """

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"content-security-policy", POLICY.encode())]
                message = {**message, "headers": [*headers, (b"referrer-policy", b"no-referrer")]}
            await send(message)

        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if (host.rpartition(":")[0] or host) in _NAMES:
            await self._app(scope, receive, with_policy)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await with_policy({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
        await with_policy({"type": "http.response.body", "body": b"This page is served to this computer only.\n"})


def introduction(model: nn.Module) -> str:
    """The text at the top of the page, as Markdown."""
    texts = f" {_ZERO_SHOT}" if isinstance(model, ZeroShotClassifier) else ""
    if task_of(model) == "multilabel":
        labels = f"{len(model.class_names)} labels. {_LABELS} {_TEXT.replace('class', 'label')}"
        return f"## {model.checkpoint_name}\n\n{labels}"
    return f"## {model.checkpoint_name}\n\n{len(model.class_names)} classes.{texts} {_TEXT}"


def make_page(gradio: Any, model: nn.Module, top: int) -> Any:
    """The page, a ``gradio.Blocks``."""

    def classify(path: str | None) -> Any:
        if path is None:
            return None, None
        try:
            return answer(model, path, top)
        except BadPhotoError as error:
            raise gradio.Error(str(error), print_exception=False) from None

    with gradio.Blocks(title=f"Lucid: {model.checkpoint_name}", analytics_enabled=False) as page:
        gradio.Markdown(introduction(model))
        with gradio.Row():
            with gradio.Column():
                photo = gradio.File(label="Photo", type="filepath")
                label = "Labels" if task_of(model) == "multilabel" else "Classes"
                classes = gradio.Label(label=label, num_top_classes=top)
            # Not the button that shares it with Hugging Face.
            picture = gradio.Image(
                label="Heat map", interactive=False, format="png", buttons=["download", "fullscreen"]
            )
        photo.change(
            classify, photo, [classes, picture], api_name="classify", concurrency_limit=num_cores(),
            show_progress="minimal",
        )  # fmt: skip
    return page


def serve(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ValueError: The model has no classifier, the file of texts does not fit, or the port is in use.
        ImportError: Gradio is not installed.
    """
    gradio, uvicorn, fastapi = load_gradio()
    number = free_port(args.port)
    model = load_classifier(args.model, texts=args.text_embeddings, image_size=args.image_size)
    if task_of(model) == "regression":
        raise ValueError(f"{args.model} predicts numbers, not classes; lucid classify prints them")
    if model.in_chans not in (1, 3):
        raise ValueError(f"{args.model} expects {model.in_chans}-channel images; only 1 and 3 channels are supported")
    with tempfile.TemporaryDirectory(prefix="lucid-serve-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # of uploaded photos
        app = gradio.mount_gradio_app(
            fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
            make_page(gradio, model, args.top),
            path="/", server_name=HOST, server_port=number, footer_links=[], run_history=False, ssr_mode=False,
            enable_monitoring=False, mcp_server=False, css=_STYLE,
            theme=gradio.themes.Default(font=_FONTS, font_mono=["monospace"]),
        )  # fmt: skip
        config = uvicorn.Config(LocalOnly(app), HOST, number, log_level="warning", timeout_graceful_shutdown=1)
        run(uvicorn.Server(config), f"http://{HOST}:{number}", model.checkpoint_name, args.open)


def run(server: Any, address: str, name: str, opens: bool) -> None:
    """Run a server in a thread until Ctrl-C.

    Raises:
        OSError: It cannot start.
    """
    thread = threading.Thread(target=server.run, name="lucid-serve")
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.05)
        if not server.started:
            raise OSError(f"cannot serve {address}")
        print(f"{name}: {address} (Ctrl-C stops)", file=sys.stderr, flush=True)
        if opens:
            webbrowser.open(address)
        while thread.is_alive():
            thread.join(1)
    finally:
        server.should_exit = True
        thread.join()


def load_gradio() -> tuple[Any, Any, Any]:
    """Gradio without telemetry, and the packages uvicorn and fastapi, which it brings.

    Raises:
        ImportError: It is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import fastapi
            import gradio
            import uvicorn
    except ImportError:
        raise ImportError(_MISSING) from None
    return gradio, uvicorn, fastapi


def free_port(number: int) -> int:
    """``number``, or a free port for 0.

    Raises:
        ValueError: The port is in use, or not for this user.
    """
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, number))
        except OSError as error:
            raise ValueError(f"--port {number}: {error.strerror}; choose another one") from None
        found: int = one.getsockname()[1]
        return found


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    try:
        serve(args)
    except models.DownloadError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: stopped", file=sys.stderr)
        return 0
    except (ValueError, OSError, ImportError) as error:
        parser.error(message_of(error))
    return 0
