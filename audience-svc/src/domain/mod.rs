//! The rules of customer lists: pure, on values; no I/O and no clock.

#[cfg(test)]
mod accounting;
mod advice;
mod agreed;
mod audience;
mod batch;
mod budget;
mod business;
mod expression;
mod members;
mod noise;
mod pace;
mod release;
mod rotation;
mod rows;
mod secrets;
mod upload;
mod usage;

pub use agreed::{Agreed, AgreedToCount, Until};
pub use audience::{Audience, CustomerSource, Lifetime};
pub use batch::{BatchReport, KeyedBatch, MAX_ROWS, key_rows};
pub use budget::{Budget, Exhausted};
pub use business::{Business, BusinessScope};
pub use expression::{Expression, ExpressionInvalid, Term};
pub use members::{CorruptRecord, MemberDay, NOBODY, date, day_of, read_record, record};
pub use noise::Noise;
pub use pace::{commit_step, held_back, reach_step};
#[cfg(any(test, feature = "attacks"))]
#[doc(hidden)]
pub use release::attacks;
pub use release::{MaskedCount, Released};
pub use rotation::{Running, VersionStanding, VersionState};
pub use rows::{Reading, Refusal, Row, RowValue};
pub use secrets::Secrets;
pub use upload::{Batches, RowCounts, Upload, UploadMode, UploadState};
pub use usage::{Day, DayFigures, FigureNoise, MONTH, NotADay, Tally, first_open, is_open};
