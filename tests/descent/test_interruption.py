import os
import signal
import threading

import pytest

from pendio.descent.interruption import Interruption


def test_the_first_signal_is_a_request_and_the_second_a_command():
    with Interruption() as interruption:
        assert not interruption.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_it_keeps_out_of_the_way_in_other_threads():
    requested = []

    def work():
        with Interruption() as interruption:
            requested.append(interruption.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requested == [False]
