//! Seeded mutations of good `.env` files, in all dialects. `HOSTILE_ROUNDS=1000000` before it makes it long.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and takes its length from outside"
)]

#[path = "hostile_dotenv/check.rs"]
mod check;

const EXAMPLES: [&str; 5] = [
    "# c\nexport A='x y' # d\nB=\"a\\nb${A:-c}\"\n\nC\nD=$A${B}$$\n",
    "A=\"two\nlines\"\r\nB=`tick` # é\r\nC: 1\r\n",
    "\u{feff}A=1\nA=2\na=3\nB=${A:?no}${X:+y${Z-w}}\n",
    "K='it\\'s'\nexport K\nL=$(id $(x)) \\$(y) \\${A}\n",
    "sops_mac=ENC[AES256_GCM,data:x]\n =\n'q k'='v'\nX = 'a' 'b'\n",
];

const PIECES: [&str; 24] = [
    "'", "\"", "`", "\\", "$", "{", "}", "(", ")", "=", ":", "#", " ", "\n", "\r", "\t", "\0", "\u{a0}",
    "\u{feff}", "${", "export ", "\\n", "é", "A",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("it is below a usize")
    }
}

#[test]
fn mutated_files_are_read_and_changed_without_loss() {
    let rounds = std::env::var("HOSTILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2000);
    let mut random = Random(0x5eed);
    for round in 0..rounds {
        let mut bytes = EXAMPLES[round % EXAMPLES.len()].as_bytes().to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len() + 1);
            let end = (at + random.below(4)).min(bytes.len());
            let piece = PIECES[random.below(PIECES.len())].as_bytes();
            let new = if random.below(20) == 0 { vec![0xff] } else { piece.to_vec() };
            bytes.splice(at..end, new);
        }
        check::check(&bytes);
    }
}
