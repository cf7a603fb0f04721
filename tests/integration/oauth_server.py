"""An authorization server that gives access tokens for signed assertions, as a program of its own:

    oauth_server.py SETTINGS.json

Its JWT grant (RFC 7523) and its authentication of clients are those of Authlib, a library that such servers are
made with. For SAML (RFC 7522), which no package of Debian grants tokens for, it is a stand-in: signatures are verified
by xmlsec1 and the form by xmllint with SAML's own schema; audience, recipient, times and replay are checked here.

A second port takes orders from the test: POST /settings merges what it is sent into the settings,
GET /log tells what was asked for. What it can be told, beside who and what it knows:

    delay       seconds before each answer
    clock       seconds that its clock is ahead
    life        of a token, in seconds
    answer      ok; or: refuse_all, error, nonsense, oversized, redirect, unauthorized, echo
"""
import base64
import email.utils
import http.server
import json
import os
import secrets
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import xml.etree.ElementTree as xml

from authlib.jose import JsonWebKey, jwt
from authlib.jose.errors import JoseError
from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import (
    AuthorizationServer, BaseGrant, ClientMixin, InvalidGrantError, InvalidRequestError, TokenEndpointMixin)
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant

SAML_GRANT = "urn:ietf:params:oauth:grant-type:saml2-bearer"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SCHEMA = "/usr/share/xml/opensaml/saml-schema-assertion-2.0.xsd"
# Where the schemas are that it imports, so that nothing is fetched.
CATALOG = """<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">
<rewriteSystem systemIdStartString="http://www.w3.org/TR/2002/REC-xmldsig-core-20020212/" rewritePrefix="{0}"/>
<rewriteSystem systemIdStartString="http://www.w3.org/TR/2002/REC-xmlenc-core-20021210/" rewritePrefix="{0}"/>
</catalog>""".format("file:///usr/share/xml/xmltooling/")
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

settings = {}
log = []
seen = set()
lock = threading.Lock()


def now():
    return int(time.time() + settings.get("clock", 0))


def see(identifier):
    """Whether it is the first time."""
    with lock:
        is_new = identifier not in seen
        seen.add(identifier)
    return is_new


class Client(ClientMixin):
    def get_client_id(self):
        return settings["client_id"]

    def get_allowed_scope(self, scope):
        known = settings.get("scopes", [])
        return " ".join(word for word in scope.split() if word in known)

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(client_secret, settings.get("client_secret", ""))

    def check_endpoint_auth_method(self, method, endpoint):
        return method == settings.get("client_login", "none")

    def check_grant_type(self, grant_type):
        return grant_type in settings.get("grants", [JWTBearerGrant.GRANT_TYPE, SAML_GRANT])


def public_key(headers):
    if settings.get("key_id") and headers.get("kid") != settings["key_id"]:
        raise JoseError("unknown_key", "no such kid")
    if settings.get("thumbprint") and headers.get("x5t#S256") != settings["thumbprint"]:
        raise JoseError("unknown_key", "no such x5t#S256")
    with open(settings["public_key"], "rb") as f:
        return JsonWebKey.import_key(f.read())


class ClientAssertion(JWTBearerClientAssertion):
    def validate_jti(self, claims, jti):
        return see("client " + jti)

    def resolve_client_public_key(self, client, headers):
        return public_key(headers)


class WithClient:
    """Both grants have the client say who it is, which RFC 7521 leaves open."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_assertion_jwt", "none"]

    def find_client(self):
        client = self.server.authenticate_client(self.request, self.TOKEN_ENDPOINT_AUTH_METHODS)
        self.request.client = client
        return client


class JwtGrant(WithClient, JWTBearerGrant):
    CLAIMS_OPTIONS = None

    def process_assertion_claims(self, assertion):
        options = {
            "iss": {"essential": True, "value": settings["issuer"]}, "sub": {"essential": True},
            "aud": {"essential": True, "value": settings["audience"]},
            "exp": {"essential": True}, "nbf": {"essential": True}, "iat": {"essential": True},
            "jti": {"essential": True, "validate": lambda claims, jti: see("jwt " + jti)}}
        try:
            claims = jwt.decode(assertion, lambda headers, payload: public_key(headers), claims_options=options)
            claims.validate(now=now())
        except JoseError as e:
            raise InvalidGrantError(description=e.description or e.error) from e
        return claims

    def validate_token_request(self):
        self.find_client()
        super().validate_token_request()

    def resolve_issuer_client(self, issuer):
        return self.request.client

    def authenticate_user(self, subject):
        return subject if subject in settings["users"] else None

    def has_granted_permission(self, client, user):
        return True


def moment(text):
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def run(*arguments, **environment):
    done = subprocess.run(arguments, env=dict(os.environ, **environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=30, check=False)
    if done.returncode != 0:
        raise InvalidGrantError(description="%s: %s" % (arguments[0], done.stdout.decode()[-80:].replace("\n", " ")))


def require(is_met, what):
    if not is_met:
        raise InvalidGrantError(description=what)


def verified_saml(document):
    """The element, once its signature holds, it is over the whole document, and the document is SAML's."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "assertion.xml")
        with open(path, "wb") as f:
            f.write(document)
        catalog = os.path.join(folder, "catalog.xml")
        with open(catalog, "w", encoding="ascii") as f:
            f.write(CATALOG)
        run("xmlsec1", "--verify", "--enabled-reference-uris", "same-doc", "--id-attr:ID",
            "urn:oasis:names:tc:SAML:2.0:assertion:Assertion", "--pubkey-pem", settings["public_key"], path)
        run("xmllint", "--noout", "--nonet", "--schema", SCHEMA, path, XML_CATALOG_FILES=catalog)
    element = xml.fromstring(document)
    reference = element.find(".//{http://www.w3.org/2000/09/xmldsig#}Reference")
    require(element.tag == SAML + "Assertion" and reference.get("URI") == "#" + element.get("ID"),
            "the signature is not that of the assertion")
    return element


class SamlGrant(WithClient, BaseGrant, TokenEndpointMixin):
    GRANT_TYPE = SAML_GRANT

    def validate_token_request(self):
        self.find_client()
        text = self.request.form.get("assertion")
        if not text or "=" in text:
            raise InvalidRequestError("the assertion is missing, or padded")
        element = verified_saml(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        self.check(element)
        name = element.find(SAML + "Subject").find(SAML + "NameID")
        require(name.text in settings["users"], "the subject is unknown")
        self.request.user = name.text
        self.request.saml = {
            "format": name.get("Format"),
            "attributes": {a.get("Name"): a.find(SAML + "AttributeValue").text
                           for a in element.iter(SAML + "Attribute")}}
        self.validate_requested_scope()

    @staticmethod
    def check(element):
        conditions = element.find(SAML + "Conditions")
        confirmation = element.find(SAML + "Subject").find(SAML + "SubjectConfirmation")
        data = confirmation.find(SAML + "SubjectConfirmationData")
        audience = conditions.find(SAML + "AudienceRestriction").find(SAML + "Audience").text
        require(element.find(SAML + "Issuer").text == settings["issuer"], "another issuer")
        require(audience == settings["audience"], "another audience")
        require(confirmation.get("Method") == BEARER, "it is not a bearer's")
        require(data.get("Recipient") == settings["endpoint"], "another recipient")
        require(moment(conditions.get("NotBefore")) <= now(), "NotBefore is in the future")
        require(now() < moment(conditions.get("NotOnOrAfter")), "NotOnOrAfter has passed")
        require(now() < moment(data.get("NotOnOrAfter")), "NotOnOrAfter has passed")
        require(element.find(SAML + "AuthnStatement") is not None, "nobody has authenticated the subject")
        require(see("saml " + element.get("ID")), "the assertion was used before")

    def create_token_response(self):
        token = self.generate_token(user=self.request.user, scope=self.request.scope, include_refresh_token=False)
        self.save_token(token)
        return 200, token, self.TOKEN_RESPONSE_HEADER


class Server(AuthorizationServer):
    def query_client(self, client_id):
        return Client() if client_id == settings["client_id"] else None

    def save_token(self, token, request):
        entry = {"user": request.user, "token": token["access_token"], "scope": request.scope,
                 "client_login": request.auth_method, "grant": request.grant_type.rpartition(":")[2]}
        entry.update(getattr(request, "saml", {}))
        with lock:
            log.append(entry)

    def create_oauth2_request(self, request):
        return request

    def validate_requested_scope(self, scope, state=None):
        self.scopes_supported = settings.get("scopes")
        super().validate_requested_scope(scope, state)

    def send_signal(self, name, *args, **kwargs):
        pass

    def handle_response(self, status, body, headers):
        return status, body, headers


def make_token(**facts):
    return {"token_type": "Bearer", "access_token": secrets.token_urlsafe(24), "expires_in": settings.get("life", 3600),
            **({"scope": facts["scope"]} if facts.get("scope") else {})}


def make_server():
    server = Server()
    server.register_token_generator("default", make_token)
    server.register_client_auth_method(
        ClientAssertion.CLIENT_AUTH_METHOD, ClientAssertion(settings["audience"]))
    server.register_grant(JwtGrant)
    server.register_grant(SamlGrant)
    return server


def special_answer(form):
    """What a server says that is not well; None: it is."""
    return {
        "refuse_all": (400, {"error": "invalid_grant", "error_description": "the user is unknown"}),
        "unauthorized": (401, {"error": "invalid_client"}),
        "error": (500, "it fell over"),
        "nonsense": (200, "<html>welcome</html>"),
        "oversized": (200, {"access_token": "a" * 200000, "token_type": "Bearer"}),
        "redirect": (302, ""),
        "echo": (400, {"error": "invalid_grant", "error_description": "bad: " + form.get("assertion", [""])[0]}),
    }.get(settings.get("answer", "ok"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(timestamp if timestamp is not None else now(), usegmt=True)

    def log_message(self, format, *arguments):
        pass

    def read_body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def reply(self, status, body, headers=()):
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class TokenHandler(Handler):
    def setup(self):
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_POST(self):
        text = self.read_body()
        time.sleep(settings.get("delay", 0))
        special = special_answer(urllib.parse.parse_qs(text))
        if special:
            with lock:
                log.append({"answer": settings["answer"]})
            self.reply(*special, [("Location", "https://localhost/elsewhere")] if special[0] == 302 else [])
            return
        request = OAuth2Request("POST", settings["endpoint"], dict(urllib.parse.parse_qsl(text)), dict(self.headers))
        status, body, headers = self.server.oauth.create_token_response(request)
        if status != 200:
            with lock:
                log.append({"status": status, **body})
        self.reply(status, body, headers)


class OrderHandler(Handler):
    def do_GET(self):
        with lock:
            copy = list(log)
        self.reply(200, copy)

    def do_POST(self):
        settings.update(json.loads(self.read_body()))
        self.reply(200, {})


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    tls = None

    def handle_error(self, request, client_address):
        print("connection ended:", sys.exc_info()[1], flush=True)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        settings.update(json.load(f))
    tokens = Listener(("127.0.0.1", settings["port"]), TokenHandler)
    tokens.oauth = make_server()
    if settings.get("chain"):
        tokens.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tokens.tls.load_cert_chain(settings["chain"], settings["key"])
    orders = Listener(("127.0.0.1", settings["order_port"]), OrderHandler)
    threading.Thread(target=orders.serve_forever, daemon=True).start()
    tokens.serve_forever()


if __name__ == "__main__":
    main()
