"""Runs on the host: requests over fresh and kept connections until its input ends; prints each that went wrong.

Bounded: to localhost, by four threads, for ten minutes at the most.
"""

import base64
import http.client
import ssl
import sys
import threading
import time

password = sys.stdin.readline().strip()
secret = base64.b64encode(f"docker:{password}".encode()).decode()
headers = {"Authorization": f"Basic {secret}"}
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
ended = threading.Event()
counts = [0, 0, 0, 0]
deadline = time.monotonic() + 600


def ask(number: int, keep: bool) -> None:
    link = None
    while not ended.is_set() and time.monotonic() < deadline:
        try:
            if link is None:
                link = http.client.HTTPSConnection("localhost", context=context, timeout=20)
                link.connect()
                fresh = True
            link.request("GET", "/v2/_catalog", headers=headers)
            answer = link.getresponse()
            answer.read()
            if answer.status != 200:
                print(f"HTTP {answer.status}")
            counts[number] += 1
            if not keep or answer.getheader("Connection") == "close":
                link.close()
                link = None
            fresh = False
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            if fresh:  # a kept connection may be closed between two requests, as HTTP allows (RFC 9112, 9.6)
                print(f"fresh connection: {error!r}")
            link = None
        except Exception as error:
            print(f"{error!r}")
            link = None
        time.sleep(0.005)


threads = [threading.Thread(target=ask, args=(number, number % 2 == 0)) for number in range(len(counts))]
for thread in threads:
    thread.start()
print("asking")
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
print(sum(counts))
