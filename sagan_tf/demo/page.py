"""The demo's page, in Gradio."""

import functools
import os
import uuid
from collections.abc import Callable
from typing import Any

from PIL import Image

from sagan_tf.demo.pictures import (
    LARGEST_TRUNCATION,
    MOST_IMAGES,
    STEPS,
    Pictures,
)
from sagan_tf.errors import UserError
from sagan_tf.packages import check_installed
from sagan_tf.run import Run

_DELETE_CACHE = (60, 600)  # each minute, the files that are older than ten minutes
_CSS = """
.pixels img { image-rendering: pixelated; }
.grid .grid-container {
  grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)) !important;
}
.grid, .grid .grid-wrap, #maps .grid-wrap { min-height: 0 !important; height: auto; }
.thumbnail-item { overflow: visible !important; height: auto; aspect-ratio: auto; }
.caption-label {
  position: static !important;
  max-width: none !important;
  white-space: normal !important;
}
footer { display: none !important; }
"""


def make_demo(run: Run) -> Any:
    """Makes the page of a run; see `Pictures` for what it shows.

    Its API has the same functions: `/generate`, `/enlarge`, `/attend` and `/between`.

    Args:
        run: `Run`.

    Returns:
        `gradio.Blocks`. `launch_demo` serves it.

    Raises:
        UserError: if Gradio is missing.
    """
    check_installed("The demo", "demo", "gradio")
    import gradio as gr

    pictures = Pictures(run)
    name = f"{run.name}, step {run.step:,}"
    has_attention = bool(
        run.generator.attention_resolutions or run.discriminator.attention_resolutions
    )

    def checked(function: Callable) -> Callable:
        """Shows a `UserError`'s message instead of a general one."""

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except UserError as error:
                raise gr.Error(str(error), print_exception=False) from None

        return call

    # The choice of a random class. It must not be the name of a class.
    random = "random" if "random" not in pictures.classes else "any class"

    def to_label(choice: str | None) -> str | None:
        return None if choice == random else choice

    # The API names its parameters as these functions do.

    @checked
    def generate(seed: Any, truncation: Any, label: Any, images: Any) -> Any:
        shown = pictures.generate(seed, truncation, to_label(label), images)
        return [_mark(picture) for picture in shown]

    @checked
    def enlarge(seed: Any, truncation: Any, label: Any, image: Any) -> Any:
        return _mark(pictures.enlarge(seed, truncation, to_label(label), image))

    @checked
    def attend(
        seed: Any, truncation: Any, label: Any, image: Any, x: Any, y: Any
    ) -> Any:
        shown = pictures.attend(seed, truncation, to_label(label), image, x, y)
        return [(_mark(picture), caption) for picture, caption in shown]

    @checked
    def between(
        seed: Any, truncation: Any, label: Any, first: Any, second: Any, position: Any
    ) -> Any:
        label = to_label(label)
        return _mark(pictures.between(seed, truncation, label, first, second, position))

    def choose(event: gr.SelectData) -> int:
        return event.index + 1

    def locate(event: gr.SelectData) -> tuple[int, int]:
        return pictures.find_pixel(*event.index)

    def show_image(elem_id: str) -> gr.Image:
        return gr.Image(
            show_label=False,
            format="png",
            interactive=False,
            elem_id=elem_id,
            elem_classes="pixels",
            buttons=["download", "fullscreen"],
        )

    with gr.Blocks(
        title=name, analytics_enabled=False, delete_cache=_DELETE_CACHE
    ) as demo:
        others = ", truncation and class" if pictures.classes else " and truncation"
        gr.Markdown(f"# {name}\nEach image is a function of seed{others}.")
        with gr.Row():
            # Without bounds and rounding: `Pictures` refuses what is no seed.
            seed = gr.Number(0, label="Seed")
            truncation = gr.Slider(
                0, LARGEST_TRUNCATION, 1.0, step=0.05, label="Truncation"
            )
            label = gr.Dropdown(
                [random, *pictures.classes],
                value=random,
                label="Class",
                visible=bool(pictures.classes),
            )
            count = gr.Slider(1, MOST_IMAGES, 16, step=1, label="Images")
        common = [seed, truncation, label]
        gr.Markdown("## Images\nChoose one.")
        grid = gr.Gallery(
            show_label=False,
            format="png",
            allow_preview=False,
            elem_classes=["pixels", "grid"],
            buttons=["download_all"],
        )
        gr.Markdown("## Attention" if has_attention else "## One image")
        if has_attention:
            gr.Markdown("Click a pixel to see what it attends to, in each layer.")
        with gr.Row():
            number = gr.Slider(1, MOST_IMAGES, 1, step=1, label="Image")
            x, y = (
                gr.Slider(
                    minimum=0,
                    maximum=pictures.size - 1,
                    value=pictures.size // 2,
                    step=1,
                    label=f"Pixel: {axis}",
                    visible=has_attention,
                )
                for axis in ("column", "row")
            )
        with gr.Row():
            large = show_image("large")
            maps = gr.Gallery(
                show_label=False,
                columns=2,
                format="png",
                visible=has_attention,
                elem_id="maps",
                elem_classes="pixels",
                buttons=["download_all", "fullscreen"],
            )
        gr.Markdown("## Interpolation")
        with gr.Row():
            with gr.Column():
                first = gr.Slider(1, MOST_IMAGES, 1, step=1, label="From image")
                second = gr.Slider(1, MOST_IMAGES, 2, step=1, label="To image")
                position = gr.Slider(0, STEPS, STEPS // 2, step=1, label="Position")
            path = show_image("path")

        controls: list[tuple[Callable, list[Any], Any, str]] = [
            (generate, [*common, count], grid, "generate"),
            (enlarge, [*common, number], large, "enlarge"),
            (between, [*common, first, second, position], path, "between"),
        ]
        if has_attention:
            controls.append((attend, [*common, number, x, y], maps, "attend"))
        for function, inputs, output, api_name in controls:
            gr.on(
                [demo.load, *(each.change for each in inputs)],
                function,
                inputs,
                output,
                api_name=api_name,
                show_progress="hidden",
                trigger_mode="always_last",
            )
        private: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        grid.select(choose, None, number, **private)
        large.select(locate, None, [x, y], **private)
    return demo


def _mark(picture: Image.Image) -> Image.Image:
    """Adds a unique text to a picture, so that each call gets a file of its own.

    Gradio names files by their contents, and writes one anew for each call, while
    others may be reading it.
    """
    picture.info["call"] = uuid.uuid4().hex
    return picture


def launch_demo(demo: Any, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serves a page of `make_demo` until Ctrl-C.

    Args:
        demo: `gradio.Blocks`.
        host: Address to listen on; by default this machine alone can reach it.
        port: Integer.

    Raises:
        UserError: if the address cannot be listened on.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Gradio looks whether its own page is there, which no proxy knows of.
    for name in ("no_proxy", "NO_PROXY"):
        own = [os.environ.get(name, ""), "localhost", "127.0.0.1", host]
        os.environ[name] = ",".join(filter(None, own))
    try:
        demo.queue(max_size=1000).launch(
            server_name=host,
            server_port=port,
            css=_CSS,
            share=False,
            ssr_mode=False,
            max_file_size=0,
            state_session_capacity=100,  # each call by plain HTTP is a session
        )
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be listened on: another program does, or the host "
            "is not this machine. Give another --port or --host"
        ) from error
