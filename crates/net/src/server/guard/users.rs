//! Users of a web-config file: passwords against bcrypt hashes, without telling an outsider more than yes or no.
//!
//! Always true: an unknown user costs the same comparison as a known one, with the highest cost of the file; what was compared is
//! remembered only under a keyed digest, so that neither a password nor the time of a look-up tells anything; comparisons run
//! on blocking threads, few at a time, also when the client is gone. Those who send wrong passwords do not push out what is
//! known of right ones.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::HeaderValue;
use narthex_config::Secret;
use parking_lot::Mutex;
use ring::{hmac, rand};
use tokio::sync::Semaphore;

/// Most verdicts that are remembered, of right and of wrong passwords each.
const MAX_REMEMBERED: usize = 256;

/// The cost of a comparison when no hash of the file has a readable one.
const USUAL_COST: u32 = 10;

/// Go's decoder takes trailing bits that mean nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The users of a file.
#[derive(Debug)]
pub(super) struct UserTable {
    hashes: BTreeMap<String, Secret>,
    /// Compared with when the user is unknown; no password is right.
    stand_in: Secret,
}

impl UserTable {
    pub(super) fn new(hashes: &BTreeMap<String, Secret>) -> Self {
        let cost = |hash: &Secret| hash.expose().parse::<bcrypt::HashParts>().ok().map(|h| h.get_cost());
        let cost = hashes.values().filter_map(cost).max().unwrap_or(USUAL_COST);
        let stand_in =
            Secret::new(format!("$2y${cost:02}$abcdefghijklmnopqrstuuvwxyz0123456789ABCDEFGHIJKLMNOC"));
        Self { hashes: hashes.clone(), stand_in }
    }

    /// Whether nobody is asked.
    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// Judges credentials.
#[derive(Debug)]
pub(super) struct Users {
    key: hmac::Key,
    /// How many comparisons may run at a time.
    turns: Arc<Semaphore>,
    verdicts: Mutex<Verdicts>,
}

/// What was compared lately.
#[derive(Debug, Default)]
struct Verdicts {
    right: Recent,
    wrong: Recent,
}

/// A bounded set; the oldest goes first.
#[derive(Debug, Default)]
struct Recent {
    tags: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Recent {
    fn add(&mut self, tag: [u8; 32]) {
        if !self.tags.insert(tag) {
            return;
        }
        self.order.push_back(tag);
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.tags.remove(&oldest);
        }
    }
}

impl Users {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            key: key.expect("the system has random bytes"),
            turns: Arc::new(Semaphore::new(cores.div_ceil(2))),
            verdicts: Mutex::default(),
        }
    }

    /// Whether the `Authorization` header names a user with the right password, or nobody needs to.
    pub(super) async fn know(&self, table: &UserTable, authorization: Option<&HeaderValue>) -> bool {
        if table.is_empty() {
            return true;
        }
        let Some((user, password)) = authorization.and_then(basic) else { return false };
        let hash = std::str::from_utf8(&user).ok().and_then(|user| table.hashes.get(user));
        let is_known = hash.is_some();
        let hash = hash.unwrap_or(&table.stand_in).expose();
        let tag = self.tag(&[&user, hash.as_bytes(), &password]);
        if let Some(verdict) = self.remembered(&tag) {
            return verdict;
        }
        let turn = Arc::clone(&self.turns).acquire_owned().await.expect("the semaphore is never closed");
        // Whoever was before us may have asked the same.
        if let Some(verdict) = self.remembered(&tag) {
            return verdict;
        }
        let hash = hash.to_owned();
        let compared = tokio::task::spawn_blocking(move || {
            let matches = bcrypt::verify(password, &hash).unwrap_or(false);
            // Kept to the end of the comparison, also when nobody waits for it any more.
            drop(turn);
            matches
        });
        let verdict = compared.await.unwrap_or(false) && is_known;
        let mut verdicts = self.verdicts.lock();
        let known = if verdict { &mut verdicts.right } else { &mut verdicts.wrong };
        known.add(tag);
        verdict
    }

    fn remembered(&self, tag: &[u8; 32]) -> Option<bool> {
        let verdicts = self.verdicts.lock();
        if verdicts.right.tags.contains(tag) {
            return Some(true);
        }
        verdicts.wrong.tags.contains(tag).then_some(false)
    }

    /// A digest of the parts that nobody else can make.
    fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// User and password of `Basic …`.
fn basic(header: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
    const SCHEME: &[u8] = b"Basic ";
    let bytes = header.as_bytes();
    let (scheme, rest) = bytes.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let decoded = BASE64.decode(rest).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `password` with the cheapest cost.
    fn table(users: &[(&str, &str)]) -> UserTable {
        let hash = |password: &str| Secret::new(bcrypt::hash(password, 4).unwrap());
        UserTable::new(&users.iter().map(|(user, word)| ((*user).to_owned(), hash(word))).collect())
    }

    fn header(text: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", BASE64.encode(text))).unwrap()
    }

    #[tokio::test]
    async fn only_a_known_user_with_the_right_password_is_let_in() {
        let (users, table) = (Users::new(), table(&[("alice", "secret"), ("bob", ""), ("eve:", "x")]));
        // Twice: compared, and remembered.
        for _ in 0..2 {
            for (sent, expected) in [
                ("alice:secret", true),
                ("alice:secret ", false),
                ("alice:", false),
                ("alice", false),
                ("Alice:secret", false),
                ("bob:", true),
                ("bob:secret", false),
                ("eve::x", false),
                ("carol:secret", false),
                (":", false),
            ] {
                assert_eq!(users.know(&table, Some(&header(sent))).await, expected, "{sent}");
            }
        }
        for odd in ["", "Basic", "Basic ", "Basic !!!", "Bearer secret", "Basic YQ=="] {
            assert!(!users.know(&table, Some(&HeaderValue::from_str(odd).unwrap())).await, "{odd}");
        }
        assert!(!users.know(&table, None).await);
        assert!(users.know(&UserTable::new(&BTreeMap::new()), None).await, "no users: no question");
    }

    #[tokio::test]
    async fn a_changed_hash_counts_at_once() {
        let users = Users::new();
        assert!(users.know(&table(&[("alice", "old")]), Some(&header("alice:old"))).await);
        let now = table(&[("alice", "new")]);
        assert!(!users.know(&now, Some(&header("alice:old"))).await);
        assert!(users.know(&now, Some(&header("alice:new"))).await);
    }

    #[tokio::test]
    async fn wrong_passwords_do_not_push_out_right_ones() {
        let (users, table) = (Users::new(), table(&[("alice", "secret")]));
        assert!(users.know(&table, Some(&header("alice:secret"))).await);
        for i in 0..=MAX_REMEMBERED {
            users.verdicts.lock().wrong.add(users.tag(&[&i.to_le_bytes()]));
        }
        let verdicts = users.verdicts.lock();
        assert_eq!((verdicts.right.order.len(), verdicts.wrong.order.len()), (1, MAX_REMEMBERED));
        assert_eq!(verdicts.wrong.tags.len(), MAX_REMEMBERED);
    }

    /// Outsiders could list the users of a server whose answer to unknown ones is quicker.
    #[test]
    fn an_unknown_user_costs_a_whole_comparison() {
        let hash = |cost| Secret::new(bcrypt::hash("x", cost).unwrap());
        let table = UserTable::new(&[("a".to_owned(), hash(4)), ("b".to_owned(), hash(6))].into());
        let stand_in: bcrypt::HashParts = table.stand_in.expose().parse().unwrap();
        assert_eq!(stand_in.get_cost(), 6);
        assert!(bcrypt::verify("x", table.stand_in.expose()).is_ok_and(|matches| !matches));
    }

    #[test]
    fn credentials_split_at_the_first_colon() {
        let got = basic(&header("a:b:c")).unwrap();
        assert_eq!(got, (b"a".to_vec(), b"b:c".to_vec()));
        let lower = HeaderValue::from_static("bAsIc YTpi");
        assert_eq!(basic(&lower).unwrap(), (b"a".to_vec(), b"b".to_vec()));
    }
}
