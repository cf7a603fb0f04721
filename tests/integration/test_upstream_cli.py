"""easproxyctl upstream list and test: which mail servers there are, and the whole way to them as somebody, with
what went wrong and what to do."""
import base64
import json
import os
import signal
import subprocess
import threading
import time

import harness
from harness import free_port, wait_for
from recorder import answer_bytes

VERSIONS = [("MS-ASProtocolVersions", "2.5,14.1,16.1"), ("Server", "Microsoft-IIS/10.0"),
            ("X-FEServer", "EX1"), ("X-CalculatedBETarget", "ex2.contoso.test")]
PASSWORD = "Geheim-4711"


class CliCase(harness.Case):
    def ctl(self, proxy, *arguments):
        return subprocess.run([harness.EASPROXYCTL, "upstream", *arguments, "-s", proxy.control],
                              capture_output=True, text=True, timeout=harness.PATIENCE * 6)

    def list(self, proxy):
        run = self.ctl(proxy, "list", "--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def go(self, proxy, mailbox="bob@contoso.test", *arguments):
        """What test says, and its steps by name."""
        run = self.ctl(proxy, "test", "--as", mailbox, "--json", *arguments)
        answer = json.loads(run.stdout)
        self.assertEqual(run.returncode, 0 if answer["ok"] else 1, run.stderr)
        self.assertEqual(answer["ok"], all(step["good"] for step in answer["steps"]))
        return answer, {step["step"]: step for step in answer["steps"]}

    def exchange(self, needs=None, **options):
        """A server that is as open as said: needs, a field and its value, opens it."""
        def answer(received, _):
            if needs and received.header(needs[0]) != needs[1]:
                return answer_bytes(401, headers=[("WWW-Authenticate", "Negotiate"),
                                                  ("WWW-Authenticate", 'Basic realm="inner.contoso.test"')])
            return answer_bytes(200, headers=VERSIONS)
        return self.start_recorder(answer, **options)

    def url(self, recorder, scheme="http"):
        return "%s://127.0.0.1:%d" % (scheme, recorder.port)

    def text_of(self, proxy, *arguments):
        run = self.ctl(proxy, "test", "--as", "bob@contoso.test", *arguments)
        return run.stdout


class UpstreamTestTest(CliCase):
    def test_a_good_way_is_shown_step_by_step(self):
        recorder = self.exchange(("X-Mailbox", "bob@contoso.test"))
        proxy = self.start_proxy(self.url(recorder))
        recorder.clear()
        answer, steps = self.go(proxy)
        self.assertTrue(answer["ok"], answer)
        self.assertEqual([step["step"] for step in answer["steps"]],
                         ["mailbox", "connection", "options", "anonymous"])
        self.assertEqual((answer["mailbox"], answer["login"]), ("bob@contoso.test", "header"))
        for part in ("200", "2.5,14.1,16.1", "Microsoft-IIS/10.0", "X-FEServer EX1",
                     "X-CalculatedBETarget ex2.contoso.test"):
            self.assertIn(part, steps["options"]["text"])
        # How to log in is told by its name alone.
        self.assertIn("Negotiate, Basic", steps["anonymous"]["text"])
        self.assertNotIn("inner.contoso.test", json.dumps(answer))
        self.assertNotIn("hint", steps["anonymous"])
        # Asked as a phone asks, twice, the second time without a login, and nothing but OPTIONS.
        asked = [(r.method, r.target, r.header("X-Mailbox")) for r in recorder.whole()]
        self.assertEqual(asked, [("OPTIONS", "/Microsoft-Server-ActiveSync", "bob@contoso.test"),
                                 ("OPTIONS", "/Microsoft-Server-ActiveSync", None)])
        text = self.text_of(proxy)
        self.assertIn("ok      options", text)
        self.assertIn("all is well", text)

    def test_a_server_that_lets_everybody_in_is_a_warning(self):
        recorder = self.exchange()
        proxy = self.start_proxy(self.url(recorder))
        answer, steps = self.go(proxy)
        self.assertTrue(answer["ok"], answer)
        self.assertIn("let in without a login", steps["anonymous"]["text"])
        self.assertIn("nothing but easproxyd", steps["anonymous"]["hint"])
        self.assertIn("warning anonymous", self.text_of(proxy))

    def test_a_login_that_is_not_accepted(self):
        right = "Basic " + base64.b64encode(b"bob@contoso.test*master:" + PASSWORD.encode()).decode()
        recorder = self.exchange(("Authorization", right))
        secret = self.path("password")
        with open(secret, "w", encoding="ascii") as f:
            f.write(PASSWORD + "\n")
        os.chmod(secret, 0o600)
        for user, is_good in (("%{mailbox}*master", True), ("%{mailbox}", False)):
            with self.subTest(user):
                proxy = self.start_proxy(self.url(recorder), {"upstream exchange": {
                    "login": "basic", "headers": [], "basic-user": user, "basic-password-file": secret}})
                answer, steps = self.go(proxy)
                self.assertEqual(answer["ok"], is_good, answer)
                if not is_good:
                    self.assertIn("401", steps["options"]["text"])
                    self.assertIn("Negotiate, Basic", steps["options"]["text"])
                    self.assertIn("upstream/basic-user", steps["options"]["hint"])
                    self.assertNotIn("anonymous", steps)
                    self.assertIn("FAILED  options", self.text_of(proxy))
                shown = json.dumps(answer) + self.text_of(proxy) + proxy.output()
                for hidden in (PASSWORD, right.split()[1]):
                    self.assertNotIn(hidden, shown)

    def test_tls_and_a_server_by_another_name(self):
        recorder = self.exchange(("X-Mailbox", "bob@contoso.test"), certificate=self.pki.server)
        upstream = {"ca": self.pki.ca}
        proxy = self.start_proxy(self.url(recorder, "https"), {"upstream exchange": upstream})
        answer, steps = self.go(proxy)
        self.assertTrue(answer["ok"], answer)
        self.assertRegex(steps["tls"]["text"], r"TLSv1\.[23]; it is 127\.0\.0\.1, by a certificate of .* until 2")
        proxy = self.start_proxy(self.url(recorder, "https"),
                                 {"upstream exchange": dict(upstream, host="mail.elsewhere.test")})
        answer, steps = self.go(proxy)
        self.assertFalse(answer["ok"])
        self.assertIn("ostname mismatch", steps["tls"]["text"])
        self.assertIn("upstream/host", steps["tls"]["hint"])
        self.assertNotIn("options", steps)
        proxy = self.start_proxy(self.url(recorder, "https"))
        answer, steps = self.go(proxy)
        self.assertFalse(answer["ok"])
        self.assertIn("upstream/ca", steps["tls"]["hint"])

    def test_each_endpoint_is_tried_by_itself(self):
        recorder = self.exchange()
        dead = "http://127.0.0.1:%d" % free_port()
        proxy = self.start_proxy([dead, self.url(recorder)])
        answer, _ = self.go(proxy)
        self.assertFalse(answer["ok"])
        by_endpoint = {}
        for step in answer["steps"]:
            by_endpoint.setdefault(step.get("endpoint"), []).append((step["step"], step["good"]))
        self.assertEqual(by_endpoint, {
            None: [("mailbox", True)], dead: [("connection", False)],
            self.url(recorder): [("connection", True), ("options", True), ("anonymous", True)]})
        hint = [step["hint"] for step in answer["steps"] if step.get("endpoint") == dead][0]
        self.assertIn("upstream/endpoints", hint)
        answer, _ = self.go(proxy, "bob@contoso.test", "--endpoint", self.url(recorder))
        self.assertTrue(answer["ok"], answer)
        run = self.ctl(proxy, "test", "--as", "bob@contoso.test", "--endpoint", "http://other.test")
        self.assertEqual(run.returncode, 1)
        self.assertIn("no endpoint of upstream exchange", run.stderr)

    def test_something_else_than_a_mail_server(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy(self.url(recorder), {"upstream exchange": {"health-failures": 100}})
        for answer, part in ((lambda *_: answer_bytes(200), "MS-ASProtocolVersions"),
                             (lambda *_: answer_bytes(302, headers=[("Location", "https://x.test/owa")]), "x.test"),
                             (lambda *_: answer_bytes(404), "404"),
                             (lambda *_: b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP"),
                             (lambda *_: None, "without an answer"),
                             (lambda *_: b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100000 + b"\r\n\r\n", "no HTTP")):
            with self.subTest(part):
                recorder.answer = answer
                said, steps = self.go(proxy)
                self.assertFalse(said["ok"])
                self.assertIn(part, steps["options"]["text"])
                self.assertTrue(steps["options"]["hint"])

    def test_a_mailbox_that_nobody_has(self):
        directory = self.path("directory")
        with open(directory, "w", encoding="ascii") as f:
            f.write("bob@contoso.test smtp:bob@contoso.test\nalias-owner@contoso.test smtp:alias@contoso.test\n")
        recorder = self.exchange()
        proxy = self.start_proxy(self.url(recorder), {
            "mailbox": {"names": ["rfc822-name"]}, "directory": {"backend": "file", "file": directory}})
        self.assertTrue(self.go(proxy)[0]["ok"])
        recorder.clear()
        for mailbox, part in (("nobody@contoso.test", "user-unknown"), ("bob@elsewhere.test", "user-unknown"),
                              ("alias@contoso.test", "alias-owner@contoso.test")):
            with self.subTest(mailbox):
                answer, steps = self.go(proxy, mailbox)
                self.assertFalse(answer["ok"])
                self.assertEqual([s["step"] for s in answer["steps"]], ["mailbox"])
                self.assertIn(part, steps["mailbox"]["text"])
                self.assertTrue(steps["mailbox"]["hint"])
        self.assertEqual([r for r in recorder.whole() if r.method == "OPTIONS"], [])
        for mailbox, part in (("bob", "did you mean bob@contoso.test"), ("b\nb@x.test", "not the address")):
            run = self.ctl(proxy, "test", "--as", mailbox)
            self.assertEqual(run.returncode, 1)
            self.assertIn(part, run.stderr)

    def test_without_the_directory_the_rest_of_the_way_is_tried(self):
        recorder = self.exchange()
        proxy = self.start_proxy(self.url(recorder), {
            "mailbox": {"names": ["rfc822-name"]},
            "directory": {"backend": "ldap", "urls": ["ldap://127.0.0.1:%d" % free_port()], "start-tls": False,
                          "bind": "none", "base": "dc=contoso,dc=test"}})
        answer, steps = self.go(proxy)
        self.assertFalse(answer["ok"])
        self.assertIn("directory-unavailable", steps["mailbox"]["text"])
        self.assertTrue(steps["options"]["good"])

        def is_down():
            self.go(proxy, "carol@contoso.test")  # one more question without an answer
            directory = self.list(proxy)["directory"]
            return directory if directory["state"] == "down" else None
        directory = wait_for("the directory to be down", is_down, None, proxy)
        self.assertGreater(directory["since"], time.time() - 100)
        self.assertTrue(directory["reason"], directory)
        status = subprocess.run([harness.EASPROXYCTL, "status", "-s", proxy.control], capture_output=True,
                                text=True, timeout=harness.PATIENCE).stdout
        self.assertRegex(status, r"(?m)^directory ldap: DOWN since 2")
        self.assertIn(directory["reason"], status)

    def test_a_user_who_was_revoked_is_a_warning(self):
        proxy = self.start_proxy(self.url(self.exchange()))
        subprocess.run([harness.EASPROXYCTL, "user", "revoke", "bob@contoso.test", "-s", proxy.control], check=True,
                       capture_output=True, timeout=harness.PATIENCE)
        answer, steps = self.go(proxy)
        self.assertTrue(answer["ok"], answer)
        self.assertIn("user was revoked", steps["mailbox"]["hint"])
        self.assertNotIn("hint", self.go(proxy, "carol@contoso.test")[1]["mailbox"])

    def test_the_worker_that_tests_ends(self):
        asked = threading.Event()

        def never(received, _):
            if received.method == "OPTIONS":
                asked.set()
                time.sleep(60)
            return answer_bytes(200)
        proxy = self.start_proxy(self.url(self.start_recorder(never)), {"workers": 1})
        worker = proxy.pids("worker")[0]

        def kill():
            asked.wait(harness.PATIENCE)
            os.kill(worker, signal.SIGKILL)
        threading.Thread(target=kill).start()
        answer, steps = self.go(proxy)
        self.assertFalse(answer["ok"])
        self.assertIn("worker", steps["test"]["text"])
        self.assertIn("ended", steps["test"]["text"])

    def test_their_number_is_bounded_and_who_hangs_up_makes_room(self):
        waiting = []

        def never(received, _):
            if received.method == "OPTIONS":
                waiting.append(received)
                time.sleep(60)
            return answer_bytes(200)
        proxy = self.start_proxy(self.url(self.start_recorder(never)))
        tests = [subprocess.Popen([harness.EASPROXYCTL, "upstream", "test", "--as", "bob@contoso.test", "-s",
                                   proxy.control], stdout=subprocess.DEVNULL) for _ in range(4)]
        self.addCleanup(lambda: [test.kill() or test.wait() for test in tests])
        wait_for("four tests", lambda: len(waiting) == 4, None, proxy)
        run = self.ctl(proxy, "test", "--as", "bob@contoso.test")
        self.assertEqual(run.returncode, 1)
        self.assertIn("4 tests are running already", run.stderr)
        tests[0].kill()
        tests[0].wait()

        def one_more():
            tests.append(subprocess.Popen([harness.EASPROXYCTL, "upstream", "test", "--as", "bob@contoso.test",
                                           "-s", proxy.control], stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL))
            time.sleep(0.2)
            return len(waiting) == 5
        wait_for("a fifth test", one_more, None, proxy)

    def test_a_reload_ends_a_test_and_says_so(self):
        asked = threading.Event()

        def never(received, _):
            if received.method == "OPTIONS":
                asked.set()
                time.sleep(60)
            return answer_bytes(200)
        proxy = self.start_proxy(self.url(self.start_recorder(never)))

        def reload():
            asked.wait(harness.PATIENCE)
            proxy.signal(signal.SIGHUP)
        threading.Thread(target=reload).start()
        answer, steps = self.go(proxy)
        self.assertFalse(answer["ok"])
        self.assertIn("reloaded", steps["test"]["text"])


class UpstreamListTest(CliCase):
    def test_endpoints_are_listed_with_their_health(self):
        recorder = self.exchange()
        dead = "http://127.0.0.1:%d" % free_port()
        proxy = self.start_proxy([self.url(recorder), dead], {
            "workers": 1, "upstream exchange": {"health-interval": "100ms", "health-failures": 1}})
        answer = wait_for("one to be down", lambda: (lambda a: a if a["endpoints"][1]["down_for_workers"] else None)(
            self.list(proxy)), None, proxy)
        self.assertEqual((answer["upstream"], answer["login"], answer["logins"], answer["directory"]),
                         ("exchange", "header", [], None))
        self.assertEqual([e["endpoint"] for e in answer["endpoints"]], [self.url(recorder), dead])
        self.assertEqual(answer["endpoints"][0]["up_for_workers"], 1)
        self.assertGreater(answer["endpoints"][1]["failures"], 0)
        run = self.ctl(proxy, "list")
        self.assertIn("upstream exchange, login header", run.stdout)
        self.assertRegex(run.stdout, r"(?m)^DOWN .*%s$" % dead)
        status = subprocess.run([harness.EASPROXYCTL, "status", "-s", proxy.control], capture_output=True,
                                text=True, timeout=harness.PATIENCE).stdout
        self.assertRegex(status, r"(?m)^DOWN .*%s$" % dead)

    def test_wrong_command_lines_are_told_the_right_one(self):
        for arguments in ([], ["tset"], ["test"], ["list", "--as", "bob@contoso.test"],
                          ["list", "--endpoint", "http://x"], ["test", "--as", "bob@contoso.test", "more"]):
            with self.subTest(arguments):
                run = subprocess.run([harness.EASPROXYCTL, "upstream", *arguments], capture_output=True, text=True,
                                     timeout=harness.PATIENCE)
                self.assertEqual(run.returncode, 2)
                self.assertIn("upstream test --as MAILBOX", run.stderr)
        run = subprocess.run([harness.EASPROXYCTL, "help", "upstream"], capture_output=True, text=True,
                             timeout=harness.PATIENCE)
        self.assertEqual(run.returncode, 0)
        self.assertIn("upstream list", run.stdout)
