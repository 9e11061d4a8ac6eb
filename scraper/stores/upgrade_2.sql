-- From schema 1 to 2: what explains a run, in one transaction.

alter table pages add column reused  integer;
alter table pages add column crashes integer not null default 0;
create index pages_dead on pages (run, id) where state = 'dead';
alter table runs  add column starts  integer not null default 1;
alter table runs  add column seconds real not null default 0;
alter table runs  add column scope   text;
alter table runs  add column reopened text;
alter table runs  add column verdicts text;

update runs set seconds = max(coalesce(ended, started) - started, 0);

create table attempts (
    id      integer primary key,
    page    integer not null,
    run     integer not null,
    attempt integer not null,
    at      real    not null,
    state   text    not null check (state in ('retry', 'dead')),
    status  integer,
    reason  text    not null,
    error   text    not null,
    elapsed real,
    reused  integer
) strict;
create index attempts_page on attempts (page, id);

create table drops (
    run    integer not null,
    reason text    not null,
    count  integer not null,
    primary key (run, reason)
) strict, without rowid;

create table dropped (
    run    integer not null,
    reason text    not null,
    url    text    not null,
    page   integer not null,
    primary key (run, reason, url)
) strict, without rowid;
create index dropped_url on dropped (url);

create table kinds (
    run   integer not null,
    kind  text    not null,
    items integer not null,
    primary key (run, kind)
) strict, without rowid;

insert into kinds select last_run, kind, count(*) from items join runs on runs.id = last_run and not finished group by 1, 2;

create table fills (
    run    integer not null,
    kind   text    not null,
    field  text    not null,
    filled integer not null,
    primary key (run, kind, field)
) strict, without rowid;

insert into fills select last_run, kind, field.key, count(*)
from items join runs on runs.id = last_run and not finished, json_each(data) as field
where field.value is not null and field.value not in ('', '[]', '{}') group by 1, 2, 3;

create table owner (
    id      integer primary key check (id = 1),
    pid     integer not null,
    host    text    not null,
    started real    not null,
    beat    real    not null,
    status  text    not null
) strict;
