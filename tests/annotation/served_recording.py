"""A server of a recording's annotation page, in a thread."""

import threading

from simspine.annotation.server import AnnotationServer, Session


class Served:
    """A server in a thread."""

    def __init__(self, recording, annotator="anna", batch=4, first=(), in_round=0):
        self.session = Session(recording, annotator, batch, first, in_round=in_round)
        self.server = AnnotationServer(self.session)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def address(self):
        return self.server.address

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.session.images.close()
