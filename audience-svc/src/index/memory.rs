//! Memory that is read at random.

use std::alloc::{Layout, handle_alloc_error};

use memmap2::MmapMut;

/// A huge page of x86-64. Elsewhere this is a coarse alignment, no more.
const HUGE: usize = 2 << 20;

/// Memory from the kernel and given back to it when dropped: what an allocator keeps of large
/// blocks that come and go has no bound.
///
/// It asks for huge pages, without which reads at random take a quarter longer, for as much of
/// itself as is made of whole ones: it takes no more than it must.
pub(super) struct Memory {
    map: MmapMut,
    start: usize,
    length: usize,
}

impl Memory {
    /// So many bytes. Where there is no room it ends the process, as other allocations do.
    pub(super) fn new(length: usize) -> Self {
        // What is more than asked for takes addresses and no memory.
        let Ok(map) = MmapMut::map_anon(length + 2 * HUGE) else {
            handle_alloc_error(Layout::array::<u8>(length).unwrap_or(Layout::new::<u8>()))
        };
        let start = map.as_ptr().align_offset(HUGE);
        #[cfg(all(target_os = "linux", not(miri)))]
        if length >= HUGE {
            // Advice: where it is refused, small pages serve.
            let _ = map.advise_range(memmap2::Advice::HugePage, start, length / HUGE * HUGE);
        }
        Self { map, start, length }
    }

    /// The same for so many bytes, with whatever is in it, if it has room: for as many as before,
    /// and for some more.
    pub(super) fn reused(self, length: usize) -> Option<Self> {
        (self.start + length <= self.map.len()).then_some(Self { length, ..self })
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.map[self.start..self.start + self.length]
    }

    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..self.start + self.length]
    }
}

/// Asks for the line of the cache that has `array[at]`, if there is one, before it is read.
#[inline]
pub(super) fn prefetch<T>(array: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = array.as_ptr().wrapping_add(at);
        // SAFETY: it gives nothing to the program and faults on no address.
        #[expect(unsafe_code, reason = "there is no safe prefetch")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (array, at);
}
