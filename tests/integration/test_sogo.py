"""ActiveSync conversations with SOGo, a server that nobody here wrote, through easproxyd: with the
client certificates of alice and bob, the mailbox asserted in a request header."""
import unittest

import harness
from sogo.conversation import Conversation


class SogoTest(Conversation, harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack = cls.start_stack()

    def setUp(self):
        super().setUp()
        self.proxy = self.start_proxy(self.stack.url, {"upstream exchange": {
            "headers": ["x-webobjects-remote-user: %{mailbox}"], "request-buffering": True}})


if __name__ == "__main__":
    unittest.main()
