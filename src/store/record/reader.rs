//! Reading numbers and slices from bytes that may end anywhere.

use super::layout::Damage;

/// Takes numbers and slices off the front of bytes that may end anywhere.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Reader<'a>(pub(in crate::store) &'a [u8]);

impl<'a> Reader<'a> {
    pub(in crate::store) fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.0.split_at_checked(length).ok_or("ends too early")?;
        self.0 = rest;
        Ok(head)
    }

    pub(in crate::store) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or("ends too early")?;
        self.0 = rest;
        Ok(*head)
    }

    pub(in crate::store) fn u8(&mut self) -> Result<u8, Damage> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(in crate::store) fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(in crate::store) fn u64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}
