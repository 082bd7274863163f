//! Random irreducible polynomials over GF(2), one of which every configuration must hold.
//!
//! restic chunks by Rabin fingerprints modulo this polynomial and refuses a repository whose polynomial is reducible. We chunk differently
//! (see `chunker`), so it serves only those who back up into our repository with restic itself.

use rand::RngExt;

/// The degree that restic prescribes.
const DEGREE: u32 = 53;

/// A random irreducible polynomial of degree 53; bit `n` is the coefficient of `x^n`.
pub(crate) fn random_irreducible() -> u64 {
    let mut rng = rand::rng();
    loop {
        // The highest coefficient makes the degree; without the lowest, x would divide it.
        let candidate = rng.random::<u64>() & ((1 << DEGREE) - 1) | 1 << DEGREE | 1;
        if is_irreducible(candidate) {
            return candidate;
        }
    }
}

/// Ben-Or's test: a reducible polynomial has a factor whose degree is at most half its own, and which therefore divides some
/// `x^(2^i) - x` with `i` up to that half.
fn is_irreducible(polynomial: u64) -> bool {
    const X: u64 = 2;
    let mut power = X;
    (1..=degree(polynomial) / 2).all(|_| {
        power = square_modulo(power, polynomial);
        greatest_common_divisor(power ^ X, polynomial) == 1
    })
}

fn degree(polynomial: u64) -> u32 {
    63 - (polynomial | 1).leading_zeros()
}

fn square_modulo(value: u64, modulus: u64) -> u64 {
    let top = 1 << degree(modulus);
    let mut product = 0;
    for bit in (0..64).rev() {
        product <<= 1;
        if product & top != 0 {
            product ^= modulus;
        }
        if value >> bit & 1 == 1 {
            product ^= value;
        }
    }
    product
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, remainder(a, b));
    }
    a
}

fn remainder(mut dividend: u64, divisor: u64) -> u64 {
    let top = degree(divisor);
    while dividend != 0 && degree(dividend) >= top {
        dividend ^= divisor << (degree(dividend) - top);
        if top == 0 {
            return 0;
        }
    }
    dividend
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_polynomials_are_told_apart() {
        let irreducible: Vec<u64> = (4..32).filter(|p| is_irreducible(*p)).collect();
        assert_eq!(
            irreducible,
            [0b111, 0b1011, 0b1101, 0b10011, 0b11001, 0b11111],
            "one of degree 2, two of degree 3, three of degree 4"
        );
    }

    #[test]
    fn polynomials_that_restic_made_pass_and_their_products_do_not() {
        assert!(is_irreducible(0x2d_a9b4_a69a_1b4f));
        assert!(!is_irreducible(0x2d_a9b4_a69a_1b4e));
        assert_eq!(degree(random_irreducible()), DEGREE);
    }
}
