//! The repository from outside: judged by stock restic, by a plain model, by counting and by damage.

mod between;
mod cache;
mod crash;
mod damage;
mod economy;
mod forget;
mod history;
mod large;
mod locks;
mod lost_lock;
mod model;
mod opening;
mod power;
mod prune;
mod repair;
mod restic;
mod retention;
mod support;
