mod collection;
mod decision;
mod watch;
