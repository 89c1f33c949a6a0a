"""`keygen`: a key that signs tree heads, a witness's, or one that signs artifacts."""

from __future__ import annotations

import os
import platform

from eventlog import model_signature, signed_note
from eventlog.ed25519 import SEED_BYTES
from eventlog.signed_note import KIND_LOG, KIND_WITNESS, PrivateKey
from scripts import keyfiles, options, output
from scripts.declared import Argument, Option, UsageError, verb


@verb(
    Argument("path", metavar="FILE"),
    Option("--name", read=options.as_text, help="The key's name, such as example.com/models.  [default: modelog/HOST]"),
    Option("--witness", flag=True, help="A witness's key; it signs tree heads of others, with the time."),
    Option("--artifacts", flag=True, help="A key that signs artifacts, for OpenSSF's model_signing: P-256, in PEM."),
    options.LOG_LEVEL_UNSEEN,
)
def command(path: str, name: str | None, witness: bool, artifacts: bool) -> None:
    """
    Write a new private key to FILE, which only its owner can read, and the public key to FILE.pub; print the latter.

    A journal whose first model is published with --sign-key begins with that key; `keys add` adds one later. A key that
    signs artifacts is nothing the journal has to know.
    """
    if artifacts:
        if name is not None or witness:
            raise UsageError("expected --artifacts alone: such a key has no name and signs no tree heads")
        private, public = map(str.strip, model_signature.new_key())
        keyfiles.create(path, private, public)
        output.print_done(public)
        return
    name = signed_note.check_name(f"modelog/{platform.node() or 'host'}" if name is None else name)
    key = PrivateKey(name, KIND_WITNESS if witness else KIND_LOG, os.urandom(SEED_BYTES))
    keyfiles.create(path, key.spelled(), str(key.public))
    output.print_done(output.escape(str(key.public)))
