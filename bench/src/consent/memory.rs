//! How much room subjects take, in Redis and in the database.

use std::process::{Command, Stdio};

use service_kit::test_util::Redis;
use tokio::task::block_in_place;

use super::{
    Options,
    stage::{Engines, Stage},
};
use crate::{
    Result,
    report::{Report, Unit},
};

/// How many subjects are made known by the service itself; further ones are copies of their rows.
const BY_THE_SERVICE: usize = 50_000;

/// What is kept for ever, and for a limited time only.
const LASTING: [&str; 2] = ["subject", "event"];
const TRANSIENT: [&str; 2] = ["request", "feed"];

/// Fills a database and a Redis of their own.
pub(super) async fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let mut stage = Stage::redis(options.connections.into()).await?;
    let before = used_memory(&stage.engines()?.redis)?;
    let subjects = options.memory_subjects;
    stage.seed(subjects.min(BY_THE_SERVICE)).await?;
    let sql = Sql(stage.engines()?);
    // As the database does by itself, a little later.
    sql.run("VACUUM ANALYZE")?;
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let each = |bytes: u64, subjects: usize| bytes as f64 / subjects as f64;
    let written = each(sql.size(&LASTING)?, stage.subjects);
    let transient = each(sql.size(&TRANSIENT)?, stage.subjects);
    eprintln!("{} subjects, written by the service: {written:.1} bytes each", stage.subjects);
    if subjects > stage.subjects {
        sql.copy_subjects(stage.subjects, subjects)?;
        stage.subjects = subjects;
    }
    let sql = Sql(stage.engines()?);
    for table in LASTING {
        let (all, main) = (sql.size(&[table])?, sql.number(&main_size(table))?);
        let (all, main) = (each(all, subjects), each(main, subjects));
        eprintln!("{subjects} subjects, {table}: {all:.1} bytes each, without indexes {main:.1}");
    }
    let database = each(sql.size(&LASTING)?, subjects);
    stage.fill_all().await?;
    let used = used_memory(&stage.engines()?.redis)?.saturating_sub(before);
    let cached = stage.cached()?;
    eprintln!("{cached} subjects in Redis: {used} bytes");
    report.figure("redis-bytes-per-subject", each(used, cached), Unit::Bytes);
    report.figure("database-bytes-per-subject", database, Unit::Bytes);
    report.figure("database-transient-bytes-per-subject", transient, Unit::Bytes);
    if cached < subjects {
        report.invalid(format!("{cached} of {subjects} subjects are in Redis"));
    }
    Ok(())
}

fn main_size(table: &str) -> String {
    format!("SELECT pg_relation_size('{table}')")
}

fn used_memory(redis: &Redis) -> Result<u64> {
    let info: String = ask(redis, redis::cmd("INFO").arg("memory"))?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.ok_or("Redis does not say how much memory it uses")?.trim().parse()?)
}

/// Asks Redis something.
pub(super) fn ask<T: redis::FromRedisValue>(server: &Redis, command: &redis::Cmd) -> Result<T> {
    block_in_place(|| {
        let mut connection = redis::Client::open(server.url())?.get_connection()?;
        Ok(command.query(&mut connection)?)
    })
}

/// The database, asked with psql.
struct Sql<'a>(&'a Engines);

impl Sql<'_> {
    fn run(&self, text: &str) -> Result<String> {
        let mut command = Command::new(self.0.postgres.programs().join("psql"));
        command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text, &self.0.url]);
        let output = block_in_place(|| command.stdin(Stdio::null()).output())?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(format!("{text}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    fn number(&self, text: &str) -> Result<u64> {
        Ok(self.run(text)?.trim().parse()?)
    }

    /// Bytes of tables, with their indexes.
    fn size(&self, tables: &[&str]) -> Result<u64> {
        let each = tables.iter().map(|table| format!("pg_total_relation_size('{table}')"));
        self.number(&format!("SELECT {}", each.collect::<Vec<_>>().join(" + ")))
    }

    /// Copies the rows of the first subjects to further ones, until there are so many, in an order
    /// that has nothing to do with their ids.
    fn copy_subjects(&self, known: usize, until: usize) -> Result<()> {
        for table in LASTING {
            let columns = self.run(&format!(
                "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) \
                 FROM information_schema.columns \
                 WHERE table_name = '{table}' AND column_name <> 'subject_id'"
            ))?;
            let columns = columns.trim();
            self.run(&format!(
                "INSERT INTO {table} (subject_id, {columns}) \
                 SELECT 'subject-' || lpad(copy::text, 8, '0'), {columns} \
                 FROM generate_series({known}, {until} - 1) AS copy \
                 JOIN {table} ON subject_id = 'subject-' || lpad((copy % {known})::text, 8, '0') \
                 ORDER BY md5(copy::text)"
            ))?;
        }
        self.run("VACUUM ANALYZE")?;
        Ok(())
    }
}
