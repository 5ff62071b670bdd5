//! Figures: drawn once, given again.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, sea_query::Expr,
};

use super::activity::locked_calendar;
use crate::{
    domain::{Day, DayFigures},
    error::Error,
    store::{
        entity::{usage_calendar as calendar, usage_figure as table},
        failed,
    },
};

/// Keeps the figures of a day, by app; across apps without a name. Another replica may have been
/// faster: then its figures are the day's, and these are nobody's.
pub(crate) async fn keep(
    tx: &DatabaseTransaction,
    day: Day,
    figures: &BTreeMap<String, DayFigures>,
) -> Result<(), Error> {
    if locked_calendar(tx).await?.next_day != day {
        return Ok(());
    }
    let row = |(app_id, figures): (&String, &DayFigures)| {
        let figures = serde_json::to_string(figures)
            .map_err(|_| Error::Internal("figures cannot be written"))?;
        Ok(table::ActiveModel {
            day: Set(day.number()),
            app_id: Set(app_id.clone()),
            figures: Set(figures),
        })
    };
    let rows = figures.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
    let insert = table::Entity::insert_many(rows);
    insert.exec_without_returning(tx).await.map_err(failed)?;
    let next = Expr::value(day.plus(1).number());
    let update = calendar::Entity::update_many()
        .col_expr(calendar::Column::NextDay, next)
        .filter(calendar::Column::Id.eq(1));
    update.exec(tx).await.map(drop).map_err(failed)
}

/// The figures of an app, or without a name across all, of days from one to another that have some.
/// An app that had none of its own on a day has those of an app that nobody used.
pub(crate) async fn figures(
    db: &impl ConnectionTrait,
    app_id: &str,
    first: Day,
    last: Day,
) -> Result<Vec<(Day, DayFigures)>, Error> {
    let rows = table::Entity::find()
        .filter(table::Column::Day.between(first.number(), last.number()))
        .filter(table::Column::AppId.is_in(["", app_id]))
        .order_by_asc(table::Column::Day)
        .order_by_asc(table::Column::AppId);
    let mut days = BTreeMap::new();
    for row in rows.all(db).await.map_err(failed)? {
        let figures: DayFigures = serde_json::from_str(&row.figures)
            .map_err(|_| Error::Internal("stored figures cannot be read"))?;
        // Across apps comes first of a day.
        let nobody = row.app_id != app_id;
        days.insert(Day::stored(row.day), if nobody { figures.of_nobody() } else { figures });
    }
    Ok(days.into_iter().collect())
}
