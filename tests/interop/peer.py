"""Signs and verifies requests with http-message-signatures, which knows nothing of this project.

Reads one JSON object from standard input, prints one line of JSON.
"""

import base64
import datetime
import json
import sys
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier
from http_message_signatures.algorithms import ED25519
from http_message_signatures.resolvers import MappingKeyResolver

COMPONENTS = ("@method", "@authority", "@path", "@query", "content-digest")
TAG = "osm-agent-v1"


def sign(asked):
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(asked["seed"]))
    message = request(asked)
    signer = HTTPMessageSigner(
        signature_algorithm=ED25519,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={asked["keyid"]: key}),
    )
    signer.sign(
        message,
        key_id=asked["keyid"],
        created=datetime.datetime.fromtimestamp(asked["created"], datetime.timezone.utc),
        nonce=asked["nonce"],
        label=asked["label"],
        tag=TAG,
        covered_component_ids=COMPONENTS,
        body=base64.b64decode(asked["body"]),
    )
    return dict(message.headers)


def verify(asked):
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(asked["key"]))
    verifier = HTTPMessageVerifier(
        signature_algorithm=ED25519,
        key_resolver=MappingKeyResolver(public_keys={asked["keyid"]: key}, private_keys={}),
    )
    try:
        [result] = verifier.verify(
            request(asked), expect_tag=TAG, require_components=COMPONENTS, body=base64.b64decode(asked["body"])
        )
    except Exception as refusal:
        return {"refused": f"{type(refusal).__name__}: {refusal}"}
    return {"parameters": result.parameters, "covered": list(result.covered_components)}


def request(asked):
    return SimpleNamespace(method=asked["method"], url=asked["url"], headers=dict(asked.get("headers", {})))


asked = json.load(sys.stdin)
print(json.dumps({"sign": sign, "verify": verify}[asked["do"]](asked)))
