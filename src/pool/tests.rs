//! Tests of the pool that need its inside.
