//! Signatures of plugins, as minisign makes them: `FILE.minisig` beside the file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use minisign_verify::{Error as SignatureError, PublicKey, Signature};

use crate::{
    LoadOptions, PolicyFault,
    file::{PluginFile, read_limited},
    lock::others_write,
};

const KEY_LIMIT: u64 = 1 << 16;

/// Refuses a file without a signature by one of the user's keys beside it.
pub(crate) fn check(file: &PluginFile, options: &LoadOptions) -> Result<(), PolicyFault> {
    let keys_folder = options.keys_folder().ok_or(PolicyFault::NoHome)?;
    let mut signature_file = file.path.clone().into_os_string();
    signature_file.push(".minisig");
    let signature_file = PathBuf::from(signature_file);
    let bad = |reason: String| PolicyFault::BadSignature { signature: signature_file.clone(), reason };
    let text = match read_limited(&signature_file, KEY_LIMIT) {
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => {
            return Err(PolicyFault::NoSignature { file: file.path.clone(), signature: signature_file });
        }
        read => read.map_err(|reason| bad(reason.to_string()))?,
    };
    let signature = Signature::decode(&String::from_utf8_lossy(&text)).map_err(|reason| bad(reason.to_string()))?;
    let keys = keys(&keys_folder)?;
    for key in &keys {
        match key.verify(&file.bytes, &signature, false) {
            Err(SignatureError::UnexpectedKeyId) => {}
            verified => return verified.map_err(|reason| bad(reason.to_string())),
        }
    }
    Err(PolicyFault::UnknownKey { keys: keys_folder, known: keys.len() })
}

/// The user's keys; every `*.pub` must be one.
fn keys(folder: &Path) -> Result<Vec<PublicKey>, PolicyFault> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "pub")).collect();
    files.sort();
    files.iter().map(|file| key(file)).collect()
}

fn key(file: &Path) -> Result<PublicKey, PolicyFault> {
    let bad = |reason: String| PolicyFault::BadKey { key: file.into(), reason };
    let unread = |reason: io::Error| bad(format!("cannot be read: {reason}"));
    if let Some(fault) = others_write(file).map_err(unread)? {
        return Err(bad(fault.to_string()));
    }
    let text = read_limited(file, KEY_LIMIT).map_err(unread)?;
    let text = String::from_utf8_lossy(&text);
    PublicKey::decode(text.trim_end())
        .or_else(|_| PublicKey::from_base64(text.trim()))
        .map_err(|reason| bad(format!("is no minisign public key: {reason}; correct or remove it")))
}
