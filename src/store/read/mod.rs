//! Reading: from a key to its bytes.
//!
//! | file | what |
//! | --- | --- |
//! | `lookup` | from a row key to its row, to its record, to its value |
//! | `pointers` | the pointer cache: where the values of recently read keys are |
//! | `value` | the values returned, in place or on the heap |
//! | `rows` | iterators over keys and values |

pub(super) mod lookup;
pub(super) mod pointers;
pub(super) mod rows;
pub(super) mod value;
