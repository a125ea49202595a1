//! The Diffie-Hellman exchange of skynet's login, on numbers of 64 bits. It hides a secret from a listener who does not care
//! enough to compute; whoever needs secrecy uses TLS.

use std::num::NonZeroU64;

/// The modulus, the largest prime below 2^64.
const P: u64 = 0xffff_ffff_ffff_ffc5;
/// The generator.
const G: NonZeroU64 = NonZeroU64::new(5).expect("not zero");

/// What to send to the other side: `G ^ secret mod P`.
pub fn public(secret: NonZeroU64) -> u64 {
    power(G, secret)
}

/// What both sides then know: `base ^ exponent mod P`. A base of `P` stays itself, as in skynet.
pub fn power(base: NonZeroU64, exponent: NonZeroU64) -> u64 {
    let multiply = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(P)) as u64;
    let mut square = base.get();
    if square > P {
        square -= P;
    }
    let mut exponent = exponent.get();
    let mut product = None;
    while exponent != 0 {
        if exponent & 1 == 1 {
            product = Some(product.map_or(square, |product| multiply(product, square)));
        }
        square = multiply(square, square);
        exponent >>= 1;
    }
    product.expect("the exponent has a bit")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_powers() {
        let number = |n| NonZeroU64::new(n).unwrap();
        assert_eq!(public(number(1)), 5);
        assert_eq!(power(number(2), number(3)), 8);
        assert_eq!(power(number(P), number(1)), P);
        assert_eq!(power(number(P + 2), number(2)), 4);
    }

    proptest! {
        #[test]
        fn both_sides_get_one_secret(a: NonZeroU64, b: NonZeroU64) {
            let to_b = NonZeroU64::new(public(a)).unwrap();
            let to_a = NonZeroU64::new(public(b)).unwrap();
            prop_assert_eq!(power(to_a, a), power(to_b, b));
        }
    }
}
