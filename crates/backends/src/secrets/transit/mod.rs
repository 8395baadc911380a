//! Encryption as a service: keys that are used here and stay here.

mod batch;
mod certificates;
mod encryption;
mod key;
mod key_type;
mod keys;
mod macs;
mod ready;
mod rotation;
mod settings;
mod signing;
mod transfer;

use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, heavy_read, heavy_write, list, look_up, look_up_or_write, read, write};
use key::Memory;
use strongroom_kernel::{Access, Backend, Class, Field, FieldKind, Method, Operation, Route, Run, tools};

pub(crate) static TRANSIT: Backend = Backend {
    memory: || std::sync::Arc::new(Memory::default()),
    tidy: Some(rotation::tidy),
    ..Backend::new("transit", Class::Secret, "Encrypts and signs with keys that stay here.", &[ROUTES])
};

const NAME: Field = field("name", FieldKind::Text, "The name of the key.");
const TYPE: Field = field(
    "type",
    FieldKind::Text,
    "aes128-gcm96, aes256-gcm96 (default), chacha20-poly1305, xchacha20-poly1305, ed25519, ecdsa-p256, ecdsa-p384, \
     ecdsa-p521, rsa-2048, rsa-3072, rsa-4096, hmac, aes128-cmac, aes256-cmac or ml-dsa.",
);
const PARAMETER_SET: Field = field("parameter_set", FieldKind::Text, "For ml-dsa: 44, 65 (default) or 87.");
const DERIVED: Field =
    field("derived", FieldKind::Boolean, "Every use names a context, and a key is derived for it.");
const CONVERGENT: Field = field(
    "convergent_encryption",
    FieldKind::Boolean,
    "The same plaintext and context give the same ciphertext. Needs `derived`.",
);
const EXPORTABLE: Field = field("exportable", FieldKind::Boolean, "The key may leave. Cannot be taken back.");
const PLAINTEXT_BACKUP: Field = field(
    "allow_plaintext_backup",
    FieldKind::Boolean,
    "The key may be backed up in clear. Cannot be taken back.",
);
const AUTO_ROTATE: Field = field(
    "auto_rotate_period",
    FieldKind::Duration,
    "How long a version is the latest before the key rotates by itself; 0 for ever.",
);
const KEY_SIZE: Field = field("key_size", FieldKind::Integer, "For hmac: 32 to 512 bytes; 32 by default.");
const KEY_VERSION: Field =
    field("key_version", FieldKind::Integer, "The version to use; the latest by default.");
const CONTEXT: Field = field("context", FieldKind::Text, "What the key is derived for, in base64.");
const PLAINTEXT: Field = field("plaintext", FieldKind::Text, "What to encrypt, in base64.");
const CIPHERTEXT: Field = field("ciphertext", FieldKind::Text, "As `encrypt/` gave it: `vault:v1:…`.");
const ASSOCIATED_DATA: Field = field(
    "associated_data",
    FieldKind::Text,
    "Bytes in base64 that are authenticated, and must be given again to decrypt.",
);
const BATCH: Field =
    field("batch_input", FieldKind::Any, "A list of such inputs; the answer is `batch_results`.");
const PARTIAL_CODE: Field = field(
    "partial_failure_response_code",
    FieldKind::Integer,
    "The status where some items of a batch fail and others do not; 400 by default.",
);
const INPUT: Field = field("input", FieldKind::Text, "The message, in base64.");
const ALGORITHM: Field = field("algorithm", FieldKind::Text, "Older name of `hash_algorithm`.");
const HASH_ALGORITHM: Field = field(
    "hash_algorithm",
    FieldKind::Text,
    "sha2-224, sha2-256 (default), sha2-384, sha2-512, sha3-224, sha3-256, sha3-384 or sha3-512.",
);
const URL_ALGORITHM: Field = field("urlalgorithm", FieldKind::Text, "The same, in the path.");
const PREHASHED: Field = field("prehashed", FieldKind::Boolean, "The input is the digest already.");
const SIGNATURE_ALGORITHM: Field =
    field("signature_algorithm", FieldKind::Text, "For RSA: pss (default) or pkcs1v15.");
const MARSHALING: Field = field("marshaling_algorithm", FieldKind::Text, "For ECDSA: asn1 (default) or jws.");
const SALT_LENGTH: Field =
    field("salt_length", FieldKind::Text, "For RSA-PSS: auto (default), hash or a number.");
const HASH_FUNCTION: Field =
    field("hash_function", FieldKind::Text, "Of RSA-OAEP: SHA1, SHA256 (default), SHA384 or SHA512.");
const MAC_LENGTH: Field =
    field("mac_length", FieldKind::Integer, "Bytes of a CMAC: 8 to 16; all 16 by default.");

const SIGN_FIELDS: &[Field] = &[
    NAME,
    INPUT,
    CONTEXT,
    KEY_VERSION,
    HASH_ALGORITHM,
    ALGORITHM,
    URL_ALGORITHM,
    PREHASHED,
    SIGNATURE_ALGORITHM,
    MARSHALING,
    SALT_LENGTH,
    BATCH,
];
const VERIFY_FIELDS: &[Field] = &[
    NAME,
    INPUT,
    field("signature", FieldKind::Text, "As `sign/` gave it."),
    field("hmac", FieldKind::Text, "As `hmac/` gave it."),
    field("cmac", FieldKind::Text, "As `cmac/` gave it."),
    CONTEXT,
    HASH_ALGORITHM,
    ALGORITHM,
    URL_ALGORITHM,
    PREHASHED,
    SIGNATURE_ALGORITHM,
    MARSHALING,
    SALT_LENGTH,
    MAC_LENGTH,
    BATCH,
];
const SIGN: &[Method] = &[look_up(signing::sign, "Sign a message.")];
const VERIFY: &[Method] = &[look_up(signing::verify, "Check a signature, an HMAC or a CMAC.")];
const HMAC_FIELDS: &[Field] = &[NAME, INPUT, KEY_VERSION, HASH_ALGORITHM, ALGORITHM, URL_ALGORITHM, BATCH];
const CMAC_FIELDS: &[Field] = &[NAME, INPUT, KEY_VERSION, MAC_LENGTH, BATCH];
const RANDOM_FIELDS: &[Field] = &[
    field("source", FieldKind::Text, "`platform`, `seal` or `all`: there is one source."),
    field("bytes", FieldKind::Integer, "How many; 32 by default."),
    field("format", FieldKind::Text, "`base64`, by default, or `hex`."),
];
const HASH_FIELDS: &[Field] =
    &[INPUT, ALGORITHM, URL_ALGORITHM, field("format", FieldKind::Text, "`hex`, by default, or `base64`.")];
const EXPORT_FIELDS: &[Field] = &[
    NAME,
    field(
        "type",
        FieldKind::Text,
        "encryption-key, signing-key, hmac-key, public-key, certificate-chain or cmac-key.",
    ),
    field("version", FieldKind::Text, "A version, or `latest`; all by default."),
    field("format", FieldKind::Text, "raw, der or pem; what fits the key by default."),
];
const RESTORE_FIELDS: &[Field] = &[
    NAME,
    field("backup", FieldKind::Text, "As `backup/` gave it."),
    field("force", FieldKind::Boolean, "Replace a key of the same name."),
];
const RESTORE: &[Method] = &[write(transfer::restore, "Bring a key back from a backup.")];
const BYOK_FIELDS: &[Field] = &[
    field("destination", FieldKind::Text, "The RSA key whose holder gets the key."),
    field("source", FieldKind::Text, "The key to be exported."),
    field("version", FieldKind::Text, "A version, or `latest`; all by default."),
    HASH_FUNCTION,
];

const fn route(
    pattern: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    methods: &'static [Method],
) -> Route {
    Route { pattern, summary, access: Access::Token, fields, methods, exists: None }
}

/// Where a key that is not there may be made: policy tells `create` from `update`.
const fn making(
    pattern: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    methods: &'static [Method],
) -> Route {
    Route { pattern, summary, access: Access::Token, fields, methods, exists: Some(keys::exists) }
}

const ROUTES: &[Route] = &[
    making(
        "encrypt/{name}",
        "Encrypt; a key that is not there is made.",
        &[NAME, PLAINTEXT, CONTEXT, ASSOCIATED_DATA, KEY_VERSION, BATCH, PARTIAL_CODE, TYPE, CONVERGENT],
        &[look_up_or_write(encryption::encrypt, "Encrypt one plaintext or many.")],
    ),
    route(
        "decrypt/{name}",
        "Decrypt.",
        &[NAME, CIPHERTEXT, CONTEXT, ASSOCIATED_DATA, BATCH, PARTIAL_CODE],
        &[look_up(encryption::decrypt, "Decrypt one ciphertext or many.")],
    ),
    route(
        "rewrap/{name}",
        "Encrypt again under a newer version, without showing the plaintext.",
        &[NAME, CIPHERTEXT, CONTEXT, ASSOCIATED_DATA, KEY_VERSION, BATCH, PARTIAL_CODE],
        &[look_up(encryption::rewrap, "Rewrap one ciphertext or many.")],
    ),
    route(
        "datakey/{plaintext}/{name}",
        "A fresh key for use elsewhere, encrypted under this one.",
        &[
            NAME,
            field("plaintext", FieldKind::Text, "`plaintext` shows the fresh key too, `wrapped` does not."),
            field("bits", FieldKind::Integer, "128, 256 (default) or 512."),
            CONTEXT,
            ASSOCIATED_DATA,
            KEY_VERSION,
        ],
        &[look_up(encryption::data_key, "Make one.")],
    ),
    route("sign/{name}", "Sign.", SIGN_FIELDS, SIGN),
    route("sign/{name}/{urlalgorithm}", "Sign.", SIGN_FIELDS, SIGN),
    route("verify/{name}", "Verify.", VERIFY_FIELDS, VERIFY),
    route("verify/{name}/{urlalgorithm}", "Verify.", VERIFY_FIELDS, VERIFY),
    route("hmac/{name}", "HMAC.", HMAC_FIELDS, &[look_up(macs::hmac, "Make one.")]),
    route("hmac/{name}/{urlalgorithm}", "HMAC.", HMAC_FIELDS, &[look_up(macs::hmac, "Make one.")]),
    route("cmac/{name}", "CMAC.", CMAC_FIELDS, &[look_up(macs::cmac, "Make one.")]),
    route("cmac/{name}/{urlmac_length}", "CMAC.", CMAC_FIELDS, &[look_up(macs::cmac, "Make one.")]),
    route("hash", "A hash.", HASH_FIELDS, &[look_up(tools::hash, "Compute it.")]),
    route("hash/{urlalgorithm}", "A hash.", HASH_FIELDS, &[look_up(tools::hash, "Compute it.")]),
    route("random", "Random bytes.", RANDOM_FIELDS, &[look_up(tools::random, "Make them.")]),
    route("random/{first}", "Random bytes.", RANDOM_FIELDS, &[look_up(tools::random, "Make them.")]),
    route(
        "random/{source}/{urlbytes}",
        "Random bytes.",
        RANDOM_FIELDS,
        &[look_up(tools::random, "Make them.")],
    ),
    route("keys/?", "The keys.", &[AFTER, LIMIT], &[list(keys::list, "List their names.")]),
    making(
        "keys/{name}",
        "A key.",
        &[
            NAME,
            TYPE,
            PARAMETER_SET,
            DERIVED,
            CONVERGENT,
            EXPORTABLE,
            PLAINTEXT_BACKUP,
            AUTO_ROTATE,
            KEY_SIZE,
            CONTEXT,
        ],
        &[
            read(keys::read, "Read what is known of a key, and its public keys."),
            heavy_write(keys::create, "Make a key."),
            delete(keys::delete, "Remove a key for good."),
        ],
    ),
    route(
        "keys/{name}/config",
        "What a key's owner decides.",
        &[
            NAME,
            field("min_decryption_version", FieldKind::Integer, "Older versions are refused in decryption."),
            field("min_encryption_version", FieldKind::Integer, "Older versions are refused in encryption."),
            field("deletion_allowed", FieldKind::Boolean, "The key may be removed."),
            EXPORTABLE,
            PLAINTEXT_BACKUP,
            AUTO_ROTATE,
        ],
        &[write(keys::configure, "Change it.")],
    ),
    route("keys/{name}/rotate", "A new version.", &[NAME], &[heavy_write(keys::rotate, "Make it.")]),
    route(
        "keys/{name}/trim",
        "Remove the oldest versions for good.",
        &[NAME, field("min_available_version", FieldKind::Integer, "The oldest version that is kept.")],
        &[write(keys::trim, "Remove them.")],
    ),
    route(
        "keys/{name}/soft-delete",
        "Take a key out of use.",
        &[NAME],
        &[delete(keys::soft_delete, "Take it out.")],
    ),
    route(
        "keys/{name}/soft-delete-restore",
        "Bring a key back into use.",
        &[NAME],
        &[write(keys::soft_restore, "Bring it back.")],
    ),
    route(
        "keys/{name}/import",
        "Bring a key of one's own.",
        &[
            NAME,
            TYPE,
            PARAMETER_SET,
            field("ciphertext", FieldKind::Text, "The key, wrapped under `wrapping_key`, in base64."),
            field("public_key", FieldKind::Text, "A public key in PEM, where there is no private one."),
            HASH_FUNCTION,
            DERIVED,
            EXPORTABLE,
            PLAINTEXT_BACKUP,
            AUTO_ROTATE,
            field("allow_rotation", FieldKind::Boolean, "The server may make further versions."),
        ],
        &[heavy_write(transfer::import, "Bring it.")],
    ),
    route(
        "keys/{name}/import_version",
        "Bring a further version of a key of one's own.",
        &[
            NAME,
            field("ciphertext", FieldKind::Text, "The key, wrapped under `wrapping_key`, in base64."),
            field("public_key", FieldKind::Text, "A public key in PEM, where there is no private one."),
            field(
                "version",
                FieldKind::Integer,
                "A version that has a public key alone and gets its private one.",
            ),
            HASH_FUNCTION,
        ],
        &[heavy_write(transfer::import_version, "Bring it.")],
    ),
    route(
        "keys/{name}/csr",
        "A request for a certificate of the key.",
        &[
            NAME,
            field("version", FieldKind::Integer, "The version; the latest by default."),
            field("csr", FieldKind::Text, "A request in PEM whose subject and extensions are taken over."),
        ],
        &[look_up(certificates::request, "Make it.")],
    ),
    route(
        "keys/{name}/set-certificate",
        "The certificate of the key.",
        &[
            NAME,
            field("version", FieldKind::Integer, "The version; the latest by default."),
            field("certificate_chain", FieldKind::Text, "Certificates in PEM, the key's own first."),
        ],
        &[write(certificates::set, "Keep it.")],
    ),
    route(
        "wrapping_key",
        "The public key under which keys are brought.",
        &[],
        &[heavy_read(transfer::wrapping_key, "Read it.")],
    ),
    route(
        "export/{type}/{name}",
        "Keys that may leave.",
        EXPORT_FIELDS,
        &[read(transfer::export, "Export them.")],
    ),
    route(
        "export/{type}/{name}/{version}",
        "Keys that may leave.",
        EXPORT_FIELDS,
        &[read(transfer::export, "Export one.")],
    ),
    route(
        "byok-export/{destination}/{source}",
        "Keys wrapped for another server.",
        BYOK_FIELDS,
        &[read(transfer::export_wrapped, "Export them.")],
    ),
    route(
        "byok-export/{destination}/{source}/{version}",
        "Keys wrapped for another server.",
        BYOK_FIELDS,
        &[read(transfer::export_wrapped, "Export one.")],
    ),
    route(
        "backup/{name}",
        "A key with all its versions, in clear.",
        &[NAME],
        &[Method {
            operation: Operation::Read,
            run: Run::Write(transfer::backup),
            summary: "Back it up; the key remembers it.",
        }],
    ),
    route("restore", "A key from a backup.", RESTORE_FIELDS, RESTORE),
    route("restore/{name}", "A key from a backup, under another name.", RESTORE_FIELDS, RESTORE),
    route(
        "cache-config",
        "How many keys are kept ready in memory.",
        &[field("size", FieldKind::Integer, "0 for the default of 4096.")],
        &[read(settings::read_cache, "Read it."), write(settings::write_cache, "Set it.")],
    ),
    route(
        "config/keys",
        "What holds for all keys of this mount.",
        &[field("disable_upsert", FieldKind::Boolean, "`encrypt/` makes no keys.")],
        &[read(settings::read_keys, "Read it."), write(settings::write_keys, "Set it.")],
    ),
];
