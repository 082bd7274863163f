//! A task: whether its connection works, its settings, its accounts, and what is done to them.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::{Form, Query};
use catalog::{
    Account, AccountFilter, AccountKey, AccountSort, Direction, Health, LastResult, PageToken,
    RunCause, Status, StatusChange, Task, TaskId,
};
use serde::Deserialize;
use service::{Schedule, SettingsError, TaskSettings, Which};

use crate::{
    Problem, Signed, State,
    flash::Flash,
    page::{self, Shell},
    pages::{
        failures::reason,
        health::HealthBar,
        run::again,
        runs::{Pager, RunRow, rows},
    },
    path::Path,
    undo::Act,
    words::{Outcome, Pill, When, count, noun, service as service_words, size},
};

/// Accounts of a page.
const ROWS: u32 = 50;
/// Runs below the accounts.
const RUNS: usize = 3;

#[derive(Template)]
#[template(path = "task.html")]
struct Page {
    shell: Shell,
    id: TaskId,
    name: String,
    service: &'static str,
    result: Outcome,
    sentence: String,
    backup_refused: String,
    health: HealthBar,
    settings: SettingsForm,
    settings_open: bool,
    settings_words: String,
    accounts_words: String,
    find: String,
    kept: Vec<(&'static str, String)>,
    chips: Vec<Chip>,
    empty: (&'static str, &'static str),
    accounts: Vec<Row>,
    query: String,
    matching: u64,
    matching_words: String,
    columns: Columns,
    shown: Shown,
    choices: Vec<Choice>,
    kept_for_columns: Vec<(&'static str, String)>,
    pager: Pager,
    runs: Vec<RunRow>,
}

/// A filter with the number of what it leaves.
pub(crate) struct Chip {
    pub(crate) href: String,
    pub(crate) current: bool,
    pub(crate) words: String,
    /// What it is about, where that is a time of a day: the words are then this time.
    pub(crate) time: Option<When>,
}

struct Columns {
    name: Column,
    status: Column,
    result: Column,
    backup: Column,
    size: Column,
}

struct Column {
    name: &'static str,
    href: String,
    /// `ascending`, `descending` or empty, as `aria-sort` has it.
    sorted: &'static str,
}

/// The columns that can be left out, by the names that addresses have for them.
const COLUMNS: [(&str, &str); 6] = [
    ("status", "Status"),
    ("result", "Last result"),
    ("backup", "Last backup"),
    ("items", "Items"),
    ("size", "Size"),
    ("failures", "Failures"),
];

/// Which columns there are, in the order of [`COLUMNS`].
struct Shown {
    status: bool,
    result: bool,
    backup: bool,
    items: bool,
    size: bool,
    failures: bool,
}

struct Row {
    key: AccountKey,
    name: String,
    address: String,
    status: Status,
    result: Outcome,
    backed_up: Option<When>,
    items: String,
    size: String,
    failures: u64,
    /// When a job of it is tried again, and why it waits.
    waits: Option<(When, String)>,
}

struct SettingsForm {
    index: bool,
    unlicensed: bool,
    activate_new: bool,
    retain: String,
    retain_error: String,
    schedules: Vec<Choice>,
    zone: String,
    zone_error: String,
}

struct Choice {
    value: String,
    words: String,
    chosen: bool,
}

/// Which accounts, in which order: the state of the table, kept in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    /// A status, `failures`, `failed` for those whose last backup came to nothing, or nothing for all.
    show: String,
    find: String,
    sort: String,
    order: String,
    /// The columns that are shown; all when none is named.
    column: Vec<String>,
    after: String,
}

impl View {
    fn shows(&self, column: &str) -> bool {
        let is_known = |name: &&String| COLUMNS.iter().any(|(known, _)| known == name);
        let mut chosen = self.column.iter().filter(is_known).peekable();
        chosen.peek().is_none() || chosen.any(|name| name == column)
    }

    fn filter(&self) -> AccountFilter {
        AccountFilter {
            status: Status::from_word(&self.show),
            failing: self.show == "failures",
            last_result: (self.show == "failed").then_some(LastResult::Failed),
            text: Some(self.find.clone()).filter(|text| !text.is_empty()),
            ..AccountFilter::default()
        }
    }

    fn sort(&self) -> AccountSort {
        AccountSort::from_word(&self.sort).unwrap_or(AccountSort::Name)
    }

    fn direction(&self) -> Direction {
        match self.order.as_str() {
            "down" => Direction::Descending,
            _ => Direction::Ascending,
        }
    }

    /// The address of the table with this state, without the page.
    fn href(&self, task: TaskId) -> String {
        format!("{}#accounts", self.page(task))
    }

    /// The same from the top of the page, where it says what was done.
    fn page(&self, task: TaskId) -> String {
        match self.query().as_str() {
            "" => format!("/tasks/{task}"),
            query => format!("/tasks/{task}?{query}"),
        }
    }

    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.kept("") {
            query.append_pair(name, &value);
        }
        query.finish()
    }

    /// What a form of the page has to hand on, besides the field that it sends itself.
    fn kept(&self, besides: &str) -> Vec<(&'static str, String)> {
        let fields = [
            ("show", &self.show),
            ("find", &self.find),
            ("sort", &self.sort),
            ("order", &self.order),
        ];
        let columns = self.column.iter().map(|column| ("column", column));
        let all = fields.into_iter().chain(columns);
        let wanted = all.filter(|(name, value)| !value.is_empty() && *name != besides);
        wanted.map(|(name, value)| (name, value.clone())).collect()
    }

    fn column(&self, task: TaskId, sort: AccountSort, name: &'static str) -> Column {
        let (is_sorted, direction) = (self.sort() == sort, self.direction());
        let sorted = match direction {
            _ if !is_sorted => "",
            Direction::Ascending => "ascending",
            Direction::Descending => "descending",
        };
        let order = match sorted {
            "ascending" => "down",
            _ => "",
        };
        let other = Self {
            sort: sort.word().to_owned(),
            order: order.to_owned(),
            after: String::new(),
            ..self.clone()
        };
        Column {
            name,
            href: other.href(task),
            sorted,
        }
    }
}

/// The page.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
    Query(view): Query<View>,
) -> Result<Response, Problem> {
    let task = signed.organization.task(task).await?;
    let settings = TaskSettings::from_text(&task.settings).map_err(Problem::internal)?;
    render(&state, &signed, &task, &view, SettingsForm::new(&settings)).await
}

async fn render(
    state: &State,
    signed: &Signed,
    task: &Task,
    view: &View,
    form: SettingsForm,
) -> Result<Response, Problem> {
    let (of, id, now) = (&signed.organization, task.id, state.clock().now());
    let settings = TaskSettings::from_text(&task.settings).map_err(Problem::internal)?;
    let filter = view.filter();
    let after = Some(view.after.clone()).filter(|after| !after.is_empty());
    let after = after.map(PageToken::from_text);
    let found = of.accounts(
        id,
        &filter,
        view.sort(),
        view.direction(),
        after.as_ref(),
        ROWS,
    );
    // Only a search is counted by itself; what else is asked for is among the counts.
    let searched = async {
        match filter.text {
            None => Ok(0),
            Some(_) => of.count_accounts(id, &filter).await,
        }
    };
    let (connection, counts, found, searched, latest) = tokio::try_join!(
        of.connection(task.connection),
        of.account_counts(id),
        found,
        searched,
        of.runs(id, None, ROWS)
    )?;
    let counted = |show: &str| match (show, Status::from_word(show)) {
        ("failures", _) => counts.failing,
        (_, Some(status)) => counts.of(status),
        _ => counts.all(),
    };
    let (all, active) = (counts.all(), counts.of(Status::Active));
    let mut chips = Vec::new();
    for (show, word) in [
        ("", "All"),
        ("active", "Active"),
        ("inactive", "Inactive"),
        ("paused", "Paused"),
        ("archived", "Archived"),
        ("failures", "With failures"),
    ] {
        let number = counted(show);
        let other = View {
            show: show.to_owned(),
            after: String::new(),
            ..view.clone()
        };
        if number > 0 || show.is_empty() || show == view.show {
            chips.push(Chip {
                href: other.href(id),
                current: show == view.show,
                words: format!("{word} {}", count(number)),
                time: None,
            });
        }
    }
    let matching = match filter.text {
        None => counted(&view.show),
        Some(_) => searched,
    };
    let runs = &latest[..latest.len().min(RUNS)];
    let latest = latest
        .iter()
        .find(|run| matches!(run.cause, RunCause::Schedule | RunCause::BackupNow));
    let result = match latest {
        Some(run) => Outcome::of_run(run, &of.run_totals(run.id).await?),
        None => Outcome::NeverRun,
    };
    let mut shell = signed.shell("").await?;
    shell.mark_task(&id.to_string());
    let page = Page {
        shell,
        id,
        name: task.name.clone(),
        service: service_words(task.service).1,
        result,
        sentence: match (all, active) {
            (0, _) if task.discovered_at.is_some() => "No mailbox was found.".to_owned(),
            (0, _) => "Keepwell is looking for mailboxes.".to_owned(),
            (_, 0) => "No account is active yet: select accounts and activate them.".to_owned(),
            _ => format!(
                "{} of {} are active.",
                count(active),
                noun(all, "account", "accounts")
            ),
        },
        backup_refused: match (connection.health, active) {
            (Health::Disconnected, _) => "Backup Now needs a connection.".to_owned(),
            (_, 0) => "Backup Now needs an active account.".to_owned(),
            _ => String::new(),
        },
        health: HealthBar::new(&connection),
        settings_open: active == 0 || form.is_wrong(),
        settings_words: summary(&settings),
        settings: form,
        accounts_words: format!("{} active of {}", count(active), count(all)),
        find: view.find.clone(),
        kept: view.kept("find"),
        kept_for_columns: view.kept("column"),
        shown: Shown {
            status: view.shows("status"),
            result: view.shows("result"),
            backup: view.shows("backup"),
            items: view.shows("items"),
            size: view.shows("size"),
            failures: view.shows("failures"),
        },
        choices: COLUMNS
            .iter()
            .map(|(value, words)| Choice {
                value: (*value).to_owned(),
                words: (*words).to_owned(),
                chosen: view.shows(value),
            })
            .collect(),
        chips,
        empty: match all {
            0 if task.discovered_at.is_some() => (
                "No mailbox",
                "The tenant has none that another task does not protect already. New ones are looked for daily.",
            ),
            0 => (
                "Looking for mailboxes",
                "They are listed here as soon as Microsoft has named them. Reload in a moment.",
            ),
            _ => (
                "No account matches",
                "Choose another filter, or search for something else.",
            ),
        },
        query: view.query(),
        matching,
        matching_words: count(matching),
        columns: Columns {
            name: view.column(id, AccountSort::Name, "Account"),
            status: view.column(id, AccountSort::Status, "Status"),
            result: view.column(id, AccountSort::LastResult, "Last result"),
            backup: view.column(id, AccountSort::LastSuccess, "Last backup"),
            size: view.column(id, AccountSort::Size, "Size"),
        },
        pager: Pager {
            words: format!("{} of {}", count(found.rows.len() as u64), count(matching)),
            first: (!view.after.is_empty()).then(|| view.href(id)),
            next: found.next.as_ref().map(|next| {
                let query = view.query();
                let join = if query.is_empty() { "" } else { "&" };
                format!("/tasks/{id}?{query}{join}after={}#accounts", next.as_str())
            }),
        },
        accounts: listed(signed, found.rows, now).await?,
        runs: rows(signed, runs, now).await?,
    };
    Ok(page::html(&page))
}

/// The rows of some accounts, with what their jobs wait for.
async fn listed(
    signed: &Signed,
    accounts: Vec<Account>,
    now: jiff::Timestamp,
) -> Result<Vec<Row>, Problem> {
    let keys: Vec<_> = accounts.iter().map(|account| account.key).collect();
    let jobs = signed.organization.waiting_jobs(&keys, now).await?;
    let row = |account: Account| {
        let job = jobs.iter().find(|job| job.account == account.key);
        let waits = job.and_then(|job| Some((again(job, now)?, reason(&job.progress.waiting_for))));
        Row::new(account, waits)
    };
    Ok(accounts.into_iter().map(row).collect())
}

impl Row {
    fn new(account: Account, waits: Option<(When, String)>) -> Self {
        let was_backed_up = account.snapshot.is_some();
        let or_none = |text: String| {
            if was_backed_up {
                text
            } else {
                "—".to_owned()
            }
        };
        Self {
            key: account.key,
            name: account.name,
            address: account.address,
            status: account.status,
            result: account.last_result.into(),
            backed_up: account.last_success_at.map(When),
            items: or_none(count(account.items)),
            size: or_none(size(account.size_bytes)),
            waits,
            failures: account.failures,
        }
    }
}

/// The schedules that the page offers, with the words in which a form names them.
const SCHEDULES: [(&str, &str, u16); 5] = [
    ("manual", "Only with Backup Now", 0),
    ("1", "Once a day", 1),
    ("2", "Twice a day", 2),
    ("4", "Four times a day", 4),
    ("24", "Every hour", 24),
];

impl SettingsForm {
    fn new(settings: &TaskSettings) -> Self {
        let chosen = word(&settings.schedule);
        let mut schedules: Vec<Choice> = SCHEDULES
            .iter()
            .map(|(value, words, _)| Choice {
                value: (*value).to_owned(),
                words: (*words).to_owned(),
                chosen: *value == chosen,
            })
            .collect();
        if !schedules.iter().any(|choice| choice.chosen) {
            schedules.push(Choice {
                words: schedule_words(&settings.schedule),
                value: "as it is".to_owned(),
                chosen: true,
            });
        }
        Self {
            index: settings.index,
            unlicensed: settings.unlicensed,
            activate_new: settings.activate_new,
            retain: settings
                .retain_archived_days
                .map(|days| days.to_string())
                .unwrap_or_default(),
            retain_error: String::new(),
            schedules,
            zone: settings.zone.clone(),
            zone_error: String::new(),
        }
    }

    fn is_wrong(&self) -> bool {
        !self.retain_error.is_empty() || !self.zone_error.is_empty()
    }
}

fn word(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Manual => "manual".to_owned(),
        Schedule::TimesADay(times) => times.to_string(),
        Schedule::Cron(_) => String::new(),
    }
}

fn schedule_words(schedule: &Schedule) -> String {
    let known = SCHEDULES
        .iter()
        .find(|(value, ..)| *value == word(schedule));
    match (known, schedule) {
        (Some((_, words, _)), _) => (*words).to_owned(),
        (_, Schedule::TimesADay(times)) => format!("{times} times a day"),
        (_, Schedule::Cron(pattern)) => format!("At {pattern}"),
        (_, Schedule::Manual) => String::new(),
    }
}

/// The settings in one line.
fn summary(settings: &TaskSettings) -> String {
    let kept = match settings.retain_archived_days {
        None => "for ever".to_owned(),
        Some(days) => noun(days.into(), "day", "days"),
    };
    let schedule = schedule_words(&settings.schedule);
    let clock = match settings.schedule {
        Schedule::Manual => String::new(),
        _ => format!(", by the clock of {}", settings.zone),
    };
    format!("{schedule}{clock}. Auto-archived backups are kept {kept}.")
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SettingsFields {
    index: String,
    unlicensed: String,
    activate_new: String,
    retain: String,
    schedule: String,
    zone: String,
}

/// Saves the settings.
pub(crate) async fn save(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
    Form(fields): Form<SettingsFields>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let task = of.task(task).await?;
    let old = TaskSettings::from_text(&task.settings).map_err(Problem::internal)?;
    let before = old.to_text();
    let retain = fields.retain.trim();
    let days = match retain {
        "" => Ok(None),
        text => text.parse::<u32>().map(Some),
    };
    let known = SCHEDULES
        .iter()
        .find(|(value, ..)| *value == fields.schedule);
    let settings = TaskSettings {
        index: fields.index == "yes",
        unlicensed: fields.unlicensed == "yes",
        activate_new: fields.activate_new == "yes",
        retain_archived_days: days.clone().unwrap_or_default(),
        schedule: match known {
            Some((_, _, 0)) => Schedule::Manual,
            Some((_, _, times)) => Schedule::TimesADay(*times),
            None => old.schedule.clone(),
        },
        zone: match fields.zone.trim() {
            "" => old.zone.clone(),
            zone => zone.to_owned(),
        },
        ..old
    };
    let mut form = SettingsForm::new(&settings);
    if days.is_err() {
        form.retain = retain.to_owned();
        form.retain_error =
            "Enter a whole number of days, or leave it empty to keep them for ever.".to_owned();
    }
    if let Err(error @ SettingsError::Zone(_)) = settings.check() {
        form.zone_error = crate::problem::sentence(&error);
    }
    if form.is_wrong() {
        return render(&state, &signed, &task, &View::default(), form).await;
    }
    signed
        .note(&state, "changed a task's settings", task.id)
        .await?;
    state
        .service()
        .set_settings(of.id(), task.id, &settings)
        .await?;
    let back = Redirect::to(&format!("/tasks/{}", task.id)).into_response();
    let flash = Flash::ok("The settings are saved.");
    if before == settings.to_text() {
        return Ok(flash.after(back));
    }
    let act = Act::Settings {
        task: task.id,
        before,
    };
    Ok(flash.with_undo(remember(&state, &signed, act)).after(back))
}

/// Backs up all active accounts.
pub(crate) async fn backup(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
) -> Result<Response, Problem> {
    back_up(&state, &signed, task, Which::All).await
}

async fn back_up(
    state: &State,
    signed: &Signed,
    task: TaskId,
    which: Which,
) -> Result<Response, Problem> {
    signed.organization.task(task).await?;
    signed.note(state, "began a backup", task).await?;
    let begun = state
        .service()
        .backup_now(signed.organization.id(), task, which)
        .await;
    match begun {
        Ok(run) => Ok(Redirect::to(&format!("/runs/{run}")).into_response()),
        Err(error) if error.kind() == service::Kind::Conflict => {
            let back = Redirect::to(&format!("/tasks/{task}")).into_response();
            Ok(Flash::warn(crate::problem::sentence(&error)).after(back))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
pub(crate) struct Action {
    #[serde(default)]
    r#do: String,
    #[serde(default)]
    account: Vec<AccountKey>,
    /// Not empty: all accounts that the table's filter leaves, not only those ticked.
    #[serde(default)]
    everything: String,
    /// The state of the table.
    #[serde(default)]
    query: String,
}

/// What the Action menu does to the accounts that are selected.
pub(crate) async fn act(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
    Form(action): Form<Action>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    of.task(task).await?;
    let view = read_view(&action.query);
    let is_everything = !action.everything.is_empty();
    let filter = if is_everything {
        view.filter()
    } else {
        AccountFilter {
            keys: Some(action.account.clone()),
            ..AccountFilter::default()
        }
    };
    let back = Redirect::to(&view.page(task)).into_response();
    if !is_everything && action.account.is_empty() {
        return Ok(Flash::warn("No account is selected.").after(back));
    }
    let (change, noted, done) = match action.r#do.as_str() {
        "activate" => (StatusChange::Activate, "activated accounts", "activated"),
        "pause" => (StatusChange::Pause, "paused accounts", "paused"),
        "backup" => {
            // All that are active need not be named.
            let is_all = view.find.is_empty() && ["", "active"].contains(&view.show.as_str());
            let which = match (is_everything, is_all) {
                (true, true) => Which::All,
                (true, false) => Which::Keys(keys(&signed, task, &filter).await?),
                (false, _) => Which::Keys(action.account),
            };
            return back_up(&state, &signed, task, which).await;
        }
        _ => return Err(Problem::Invalid("There is no such action.".to_owned())),
    };
    signed.note(&state, noted, task).await?;
    let way_back = way_back(&signed, task, &filter, change).await?;
    let changed = of.change_status(task, &filter, change).await?;
    if changed == 0 {
        let text = format!("None of the selected accounts could be {done}.");
        return Ok(Flash::warn(text).after(back));
    }
    let mut text = format!("{} {done}.", noun(changed, "account", "accounts"));
    if change == StatusChange::Activate {
        text.push_str(" They are backed up when the schedule next runs.");
    }
    let act = Act::Accounts {
        task,
        back: way_back,
        at: view.page(task),
    };
    let flash = Flash::ok(text).with_undo(remember(&state, &signed, act));
    Ok(flash.after(back))
}

/// What takes a change back that is about to be made: which accounts it will change, and what brings back the status that each has now.
pub(crate) async fn way_back(
    signed: &Signed,
    task: TaskId,
    filter: &AccountFilter,
    change: StatusChange,
) -> Result<Vec<(StatusChange, Vec<AccountKey>)>, Problem> {
    let ways: &[(Status, StatusChange)] = match change {
        StatusChange::Activate => &[
            (Status::Inactive, StatusChange::Deactivate),
            (Status::Paused, StatusChange::Pause),
        ],
        StatusChange::Pause => &[(Status::Active, StatusChange::Activate)],
        StatusChange::Deactivate | StatusChange::Archive => &[],
    };
    let mut back = Vec::new();
    for (now, way) in ways {
        if filter.status.is_some_and(|status| status != *now) {
            continue;
        }
        let those = AccountFilter {
            status: Some(*now),
            ..filter.clone()
        };
        back.push((*way, keys(signed, task, &those).await?));
    }
    Ok(back)
}

/// Keeps how what was just done is taken back, and returns by which id.
pub(crate) fn remember(state: &State, signed: &Signed, act: Act) -> String {
    let now = state.clock().elapsed();
    state.undos().remember(signed.hand(), act, now)
}

/// The keys of all accounts that a filter leaves.
pub(crate) async fn keys(
    signed: &Signed,
    task: TaskId,
    filter: &AccountFilter,
) -> Result<Vec<AccountKey>, Problem> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = signed
            .organization
            .accounts(
                task,
                filter,
                AccountSort::Name,
                Direction::Ascending,
                after.as_ref(),
                500,
            )
            .await?;
        keys.extend(page.rows.iter().map(|account| account.key));
        after = page.next;
        if after.is_none() {
            return Ok(keys);
        }
    }
}

fn read_view(query: &str) -> View {
    let mut view = View::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let field = match &*name {
            "show" => &mut view.show,
            "find" => &mut view.find,
            "sort" => &mut view.sort,
            "order" => &mut view.order,
            "column" => {
                view.column.push(value.into_owned());
                continue;
            }
            _ => continue,
        };
        *field = value.into_owned();
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_names_the_clock_it_goes_by() {
        let check = |schedule, expected: &str| {
            let settings = TaskSettings {
                schedule,
                zone: "Europe/Zurich".to_owned(),
                retain_archived_days: Some(1),
                ..TaskSettings::default()
            };
            assert_eq!(summary(&settings), expected);
        };
        check(
            Schedule::TimesADay(2),
            "Twice a day, by the clock of Europe/Zurich. Auto-archived backups are kept 1 day.",
        );
        check(
            Schedule::Manual,
            "Only with Backup Now. Auto-archived backups are kept 1 day.",
        );
    }

    #[test]
    fn the_state_of_the_table_comes_back_from_its_address() {
        let view = View {
            show: "active".to_owned(),
            find: "Åse & co".to_owned(),
            sort: "size".to_owned(),
            order: "down".to_owned(),
            column: vec!["items".to_owned(), "size".to_owned()],
            after: String::new(),
        };
        let again = read_view(&view.query());
        assert_eq!(again.query(), view.query());
        assert_eq!(again.find, view.find);
        assert!(again.shows("size") && !again.shows("status"));
        assert!(View::default().shows("status"));
        assert_eq!(again.filter().status, Some(Status::Active));
    }

    #[test]
    fn a_column_sorts_the_other_way_when_it_is_chosen_again() {
        let task = TaskId::new();
        let column = |view: &View| view.column(task, AccountSort::Size, "Size");
        let first = column(&View::default());
        assert_eq!(
            (first.sorted, first.href),
            ("", format!("/tasks/{task}?sort=size#accounts"))
        );
        let view = read_view("sort=size");
        let second = column(&view);
        assert_eq!(second.sorted, "ascending");
        assert!(
            second.href.ends_with("sort=size&order=down#accounts"),
            "{}",
            second.href
        );
    }
}
