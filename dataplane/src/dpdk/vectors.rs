//! Compiling the same code for the vectors that a processor has.

/// Something to compute, with nothing in it that is not inlined.
pub trait Compute {
    /// What comes of it.
    type Output;

    /// Computes it; to be inlined always.
    fn compute(self) -> Self::Output;
}

/// Computes with the best vectors that the processor has: the compiler takes a function of its own for each kind.
#[inline(always)]
pub fn with_vectors<C: Compute>(what: C) -> C::Output {
    use std::arch::is_x86_feature_detected as has;
    if has!("avx512bw") && has!("avx512vl") && has!("avx512dq") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { with_avx512(what) };
    }
    if has!("avx2") {
        // SAFETY: as above.
        return unsafe { with_avx2(what) };
    }
    what.compute()
}

/// For its 32 registers and its instructions, not for longer vectors.
#[target_feature(enable = "avx512bw,avx512vl,avx512dq")]
fn with_avx512<C: Compute>(what: C) -> C::Output {
    what.compute()
}

#[target_feature(enable = "avx2")]
fn with_avx2<C: Compute>(what: C) -> C::Output {
    what.compute()
}

/// The top bits of words, the first word's lowest.
#[inline(always)]
pub fn top_bits(words: [u32; 8]) -> u8 {
    use std::arch::x86_64::{_mm_castsi128_ps, _mm_movemask_ps, _mm_set_epi32};
    let [a, b, c, d, e, f, g, h] = words.map(u32::cast_signed);
    // SAFETY: every x86-64 has these instructions, which touch registers alone.
    let [low, high] = unsafe {
        [
            _mm_movemask_ps(_mm_castsi128_ps(_mm_set_epi32(d, c, b, a))),
            _mm_movemask_ps(_mm_castsi128_ps(_mm_set_epi32(h, g, f, e))),
        ]
    };
    (low | high << 4) as u8
}
