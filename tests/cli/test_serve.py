"""``lucid serve``: what the page answers, whom it answers, and mistakes; with Gradio, the page itself."""

import asyncio
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import explain, models
from lucid.models.preprocessing import ImageTransform

pytest.importorskip("PIL", reason="images are read with Pillow")

from PIL import Image

from lucid.cli import serve

ROOT = Path(__file__).parents[2]
PREPARED = ImageTransform(32, 40, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
NAMES = ["crane", "dog", "crane"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    lucid.manual_seed(5)
    model = models.ConvNeXt(3, (1, 1, 1, 1), (4, 8, 12, 16))
    model.head.weight._rebind(model.head.weight._array * 2000)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    described = {"classes": json.dumps(NAMES), "preprocessing": json.dumps(asdict(PREPARED)), "model": "mine"}
    models.save_checkpoint(model, path, metadata=described)
    return path


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)).save(path)
    return path


def test_the_answer_is_that_of_the_model(weights, photo):
    model = models.from_checkpoint(weights)
    classes, picture = serve.answer(model, photo, 5)
    image = Image.open(photo)
    pixels = model.preprocessing([image])
    row = model(pixels).softmax(dim=1).detach().numpy()[0]
    names = ["crane (0)", "dog", "crane (2)"]  # two classes share a name
    assert list(classes) == [names[i] for i in row.argsort()[::-1]]
    np.testing.assert_allclose(list(classes.values()), np.sort(row)[::-1], atol=1e-6)
    [heat] = explain.grad_cam(model, pixels)
    assert picture.size == (32, 32)
    np.testing.assert_array_equal(picture, explain.overlay(PREPARED.crop(image), heat))
    assert list(serve.answer(model, photo, 1)[0]) == list(classes)[:1]


def test_a_bad_photo_is_named_with_the_reason(weights, tmp_path):
    model = models.from_checkpoint(weights)
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(serve.BadPhotoError, match=r"^text\.jpg: not an image in a supported format$"):
        serve.answer(model, tmp_path / "text.jpg", 5)


def ask(host, kind="http"):
    """The messages that an application behind ``LocalOnly`` sends, and whether it was called."""
    called, sent = [], []

    async def application(scope, receive, send):
        called.append(scope["type"])
        await send({"type": f"{kind}.response.start", "status": 200, "headers": [(b"a", b"b")]})

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "headers": [] if host is None else [(b"host", host.encode())]}
    asyncio.run(serve.LocalOnly(application)(scope, None, send))
    return bool(called), sent


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:80", "localhost"])
def test_requests_of_this_computer_get_the_policy(host):
    called, [start] = ask(host)
    headers = dict(start["headers"])
    assert called and start["status"] == 200 and headers[b"a"] == b"b"
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    assert not re.search(rb"https?:|\*", headers[b"content-security-policy"])


@pytest.mark.parametrize("host", ["evil.example:7860", "evil.example", "127.0.0.1.evil.example:7860", "", None])
def test_requests_for_other_hosts_are_refused(host):
    called, sent = ask(host)
    assert not called and sent[0]["status"] == 403


def test_other_protocols():
    assert ask(None, "lifespan")[0] and ask("localhost:1", "websocket")[0]
    assert ask("evil.example:1", "websocket") == (False, [{"type": "websocket.close", "code": 1008}])


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "required: model"),
        (["w.pth"], "there is no file w.pth"),
        (["{headless}"], "has no classifier; its outputs are features"),
        (["{weights}", "--port", "70000"], "--port: must be a port, 0 to 65535, got '70000'"),
        (["{weights}", "--port", "-1"], "must be a port"),
        (["{weights}", "--port", "{used}"], "Address already in use; choose another one"),
        (["{weights}", "--top", "0"], "must be a positive integer"),
    ],
)
def test_mistakes_are_reported_in_one_line(capsys, tmp_path, weights, monkeypatch, arguments, fault):
    monkeypatch.setattr(serve, "load_gradio", lambda: (None, None, None))
    models.save_checkpoint(models.ConvNeXt(0, (1, 1), (4, 8)), tmp_path / "headless.safetensors")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        places = {"weights": weights, "headless": tmp_path / "headless.safetensors", "used": one.getsockname()[1]}
        with pytest.raises(SystemExit) as caught:
            serve.main([word.format(**places) for word in arguments])
    output = capsys.readouterr()
    assert caught.value.code == 2 and output.out == ""
    assert "error: " in output.err.splitlines()[-1] and fault in output.err.splitlines()[-1]


def test_missing_gradio_is_named(capsys, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SystemExit) as caught:
        serve.main([str(weights)])
    message = 'lucid serve needs gradio, which is not installed: pip install "lucid-mlx[serve]"'
    assert caught.value.code == 2 and capsys.readouterr().err == f"lucid serve: error: {message}\n"


# With Gradio ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(weights, tmp_path_factory):
    """The address of a page, and the folder of its temporary files."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("gradio is not installed")
    folder = tmp_path_factory.mktemp("temporary")
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lucid", "serve", str(weights), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"mine: (http://127\.0\.0\.1:\d+) \(Ctrl-C stops\)", line):
                break
        else:
            raise AssertionError("".join(lines))
        try:
            yield found[1], folder
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(60) == 0 and rest.endswith("lucid serve: stopped\n"), rest
            assert list(folder.glob("lucid-serve-*")) == []  # photos do not stay


def request(url, data=None, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as response:
        return response.read().decode(), response.headers


def classified(address, path):
    """What the page answers to a photo: the events of Gradio's API."""
    body = b'--xx\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n--xx--\r\n' % (
        path.name.encode(), path.read_bytes(),
    )  # fmt: skip
    kind = {"Content-Type": "multipart/form-data; boundary=xx"}
    [place] = json.loads(request(f"{address}/gradio_api/upload", body, **kind)[0])
    data = json.dumps({"data": [{"path": place, "meta": {"_type": "gradio.FileData"}}]}).encode()
    started = request(f"{address}/gradio_api/call/classify", data, **{"Content-Type": "application/json"})[0]
    return request(f"{address}/gradio_api/call/classify/{json.loads(started)['event_id']}")[0]


def test_the_page_classifies_a_photo(page, weights, photo):
    address, folder = page
    events = classified(address, photo)
    assert "event: complete" in events
    found, picture = json.loads(events.split("data: ")[-1])
    classes, drawn = serve.answer(models.from_checkpoint(weights), photo, 5)
    assert found["label"] == next(iter(classes))
    assert {one["label"]: one["confidence"] for one in found["confidences"]} == pytest.approx(classes)
    assert folder in Path(picture["path"]).parents
    np.testing.assert_array_equal(Image.open(picture["path"]), drawn)


def test_the_page_reports_a_bad_photo(page, tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    assert "event: error" in classified(page[0], tmp_path / "text.jpg")


def test_the_page_loads_nothing_from_elsewhere(page):
    _, headers = request(page[0])
    assert headers["content-security-policy"] == serve.POLICY
    with pytest.raises(urllib.error.HTTPError, match="403"):
        request(page[0], Host="evil.example")


def test_only_this_computer_reaches_the_port(page):
    port = int(page[0].rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells the address of this computer in its network
        except OSError:
            pytest.skip("there is no network")
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("there is no network")
    with socket.socket() as one:
        one.settimeout(5)
        assert one.connect_ex((own, port)) != 0
