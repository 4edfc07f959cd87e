//! Compiling the same code for the vectors that a processor has.

/// Something to compute, with nothing in it that is not inlined.
pub trait Compute {
    /// What comes of it.
    type Output;

    /// Computes it; to be inlined always.
    fn compute(self) -> Self::Output;
}

/// Computes with the widest vectors that pay: the compiler takes a function of its own for each width.
#[inline(always)]
pub fn with_vectors<C: Compute>(what: C) -> C::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { with_avx2(what) };
    }
    what.compute()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<C: Compute>(what: C) -> C::Output {
    what.compute()
}
