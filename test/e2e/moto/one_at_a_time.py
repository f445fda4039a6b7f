"""moto's server on loopback, one request at a time.

Usage: python one_at_a_time.py PORT

moto looks at a condition of S3 and acts on it in two steps, in as many threads as there are requests: of writers that
race for one object, two may win. Here nothing comes between the steps.
"""

import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

moto = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()


def serve(environ, start_response):
    with turn:
        return moto(environ, start_response)


run_simple("127.0.0.1", int(sys.argv[1]), serve, threaded=True)
