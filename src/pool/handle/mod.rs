//! What the user holds: the pool, the builders, and the handles of tasks.
//!
//! Nothing below this folder knows of these types. Dropping a handle to a task detaches the task;
//! dropping the last handle to a pool shuts the pool down.

mod builder;
mod periodic;
mod pool;
mod spawn;
mod task;

pub use builder::PoolBuilder;
pub use periodic::Periodic;
pub use pool::Pool;
pub use spawn::TaskBuilder;
pub use task::Task;
