import os
import signal
import threading

import pytest

from sagan_tf.signals import Interrupted, Signals
from tests.processes import start


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers():
    """A notebook needs its handlers back, also after a signal."""
    former = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in former.items():
        assert signal.getsignal(number) == handler


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_raises_at_once(number, code):
    with pytest.raises(Interrupted) as caught, Signals():
        send(getattr(signal, number))
    assert caught.value.exit_code == code


def test_a_deferred_signal_waits_for_the_check():
    done = []
    with pytest.raises(Interrupted), Signals() as signals, signals.deferred():
        signals.check()
        send()
        done.append("step")
        signals.check()
        done.append("another step")
    assert done == ["step"]


def test_long_work_within_steps_can_be_interrupted():
    with pytest.raises(Interrupted), Signals() as signals, signals.deferred():
        with signals.immediate():
            send()
            pytest.fail("the signal did not interrupt")


def test_long_work_does_not_begin_after_a_signal():
    with pytest.raises(Interrupted), Signals() as signals, signals.deferred():
        send()
        with signals.immediate():
            pytest.fail("it began")


def test_a_swallowed_signal_is_raised_again():
    """As by a library that catches every exception while it is imported."""
    with pytest.raises(Interrupted), Signals():
        try:
            send()
        except BaseException:
            pass
        with Signals() as inner, inner.deferred(), inner.immediate():
            pytest.fail("it began")


def test_without_a_signal_the_former_handlers_come_back():
    former = signal.getsignal(signal.SIGTERM)
    with Signals():
        assert signal.getsignal(signal.SIGTERM) != former
    assert signal.getsignal(signal.SIGTERM) == former


def test_other_threads_can_train():
    def work():
        with Signals() as signals, signals.deferred():
            signals.check()
            done.append(1)

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def test_a_second_signal_ends_the_process():
    script = """
import time
from sagan_tf.signals import Signals
with Signals() as signals, signals.deferred():
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
"""
    process = start("-c", script)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    with pytest.raises(Exception, match="timed out"):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == -signal.SIGTERM
    process.communicate()
