//! The whole job inside a program: `cargo run --example embed -- https://example.com/ "a question"`.

use gristmill::engine::{Engine, Error, InfoQuery};
use gristmill::model::{Budget, Focus, Job};

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(site), Some(focus)) = (arguments.next(), arguments.next()) else { return Ok(()) };
    let engine = Engine::open("gristmill-data")?;
    let budget = Budget { max_pages: Some(100), ..Budget::default() };
    let job = Job::new("embed").site(site).focus(Focus::new(focus)).budget(budget);
    println!("{} pages", engine.run(job)?.wait()?.pages);
    for info in engine.infos(&InfoQuery::default())? {
        let info = info?;
        println!("{} ({})", info.fact, info.url);
    }
    Ok(())
}
