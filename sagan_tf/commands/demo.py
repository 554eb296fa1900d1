"""Shows a run's images and attention on a page in the browser."""

from absl import flags

from sagan_tf.commands.run_flags import define_run_flags, definers, open_run


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define.string(
        "host",
        "127.0.0.1",
        "Address to listen on. The default is this machine alone; 0.0.0.0 is everybody "
        "who can reach it.",
    )
    define.integer("port", 7860, "Port.", lower_bound=1, upper_bound=65535)


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    print("Starting the page: up to half a minute", flush=True)
    run = open_run(values)
    from sagan_tf.demo.page import launch_demo, make_demo

    launch_demo(make_demo(run), values.host, values.port)
