"""Processes that meet, or that say in one line why they do not."""

import socket
import threading

import pytest

from vqvae_jax import rendezvous
from vqvae_jax.errors import ConfigError


def meet(*processes: tuple[int, int], wait: float = 5.0) -> list[str]:
  """What comes of processes (count, index) that start one after the other."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
  outcomes = [""] * len(processes)

  def one(n, count, index):
    try:
      rendezvous.meet(address, count, index, wait)
      outcomes[n] = "met"
    except ConfigError as error:
      outcomes[n] = str(error).replace(address, "ADDRESS")

  threads = []
  for n, (count, index) in enumerate(processes):
    threads.append(threading.Thread(target=one, args=(n, count, index)))
    threads[-1].start()
    threads[-1].join(0.05)
  for thread in threads:
    thread.join()
  return outcomes


@pytest.mark.parametrize(
  "order", [(0, 1), (1, 0), (0, 1, 2), (2, 0, 1), (2, 1, 0), (0,)]
)
def test_all_meet_in_any_order(order, capfd):
  assert meet(*((len(order), n) for n in order)) == ["met"] * len(order)
  lines = capfd.readouterr().err.splitlines()
  # Each says at once for whom it waits, where and how long; one alone does not.
  assert len(lines) == (len(order) if len(order) > 1 else 0)
  assert all(" at 127.0.0.1:" in line for line in lines)
  assert all("up to 5 seconds" in line for line in lines)


def test_who_does_not_come_is_named():
  said = "--coordinator ADDRESS: 1 of 3 processes did not come within "
  assert meet((3, 0), (3, 2), wait=0.5) == [f"{said}0.5 seconds: 1"] * 2
  (alone,) = meet((2, 1), wait=0.5)
  assert "process 0 was not reached within 0.5 seconds" in alone


def test_processes_that_do_not_fit_each_other():
  for message in meet((3, 0), (3, 1), (3, 1)):
    assert message.endswith("two processes have --process-index 1")
  for message in meet((3, 0), (2, 1)):
    assert message.endswith(
      "--num-processes is 3 in process 0 and 2 in process 1"
    )


def test_another_program_at_the_address():
  with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]

    def answer():
      line, _ = server.accept()
      with line:
        line.recv(100)
        line.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(ConfigError, match="another program answers there"):
      rendezvous.meet(f"127.0.0.1:{port}", 2, 1, 5)
    thread.join()
    with pytest.raises(ConfigError, match=f"cannot listen on port {port}"):
      rendezvous.meet(f"127.0.0.1:{port}", 2, 0, 5)


@pytest.mark.parametrize(
  "address",
  ["localhost", "localhost:", ":1", "a:x", "a:-1", "a:0", "a:65536", "a:1e3"],
)
def test_the_form_of_an_address(address):
  for index in (0, 1):
    with pytest.raises(ConfigError, match="is not of the form HOST:PORT"):
      rendezvous.meet(address, 2, index, 5)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 70, "a..b"])
def test_a_name_that_is_not_known(host):
  with pytest.raises(ConfigError, match=f"{host} is not known here"):
    rendezvous.meet(f"{host}:1234", 2, 1, 5)
