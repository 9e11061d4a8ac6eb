-- The database of one spider. All times are epoch seconds, all sizes bytes.

create table pages (             -- every URL ever seen, by discovery
    id            integer primary key,
    fp            blob    not null unique,      -- xxh3-128 of method, canonical URL, body
    url           text    not null,
    host          text    not null,
    state         text    not null check (state in ('due', 'retry', 'done', 'dead', 'left')),
    run           integer not null,             -- the last run that met it
    priority      integer not null default 0,
    depth         integer not null default 0,
    attempts      integer not null default 0,   -- in that run
    status        integer,                      -- HTTP status of the last attempt
    reason        text,                         -- why it is dead, waits, or has no items (redirect)
    error         text,                         -- the last error, with the traceback of a callback
    callback      text,                         -- null: parse
    request       text,                         -- JSON: what a plain GET does not have
    found_on      integer,                      -- page that revealed it first; null: a seed
    found_at      real    not null,
    due           real,                         -- state retry: not before this date
    first_tried   real,
    finished_at   real,
    elapsed       real,                         -- seconds of the last fetch
    bytes         integer,                      -- decoded body
    etag          text,
    last_modified text
) strict;
create index pages_due  on pages (priority desc, id)       where state = 'due';
create index pages_host on pages (host, priority desc, id) where state = 'due';
create index pages_wait on pages (due)                     where state = 'retry';

create table items (             -- one view per kind reads this
    id        integer primary key,
    kind      text    not null,
    key       text    not null,                 -- the declared key, else page.ordinal
    data      text    not null,                 -- JSON object
    page      integer not null,
    first_run integer not null,
    last_run  integer not null,
    stored_at real    not null,
    unique (kind, key)
) strict;

create table rejects (           -- items that could not be stored
    id      integer primary key,
    kind    text    not null,
    reason  text    not null,
    data    text    not null,                   -- as Python prints it
    page    integer not null,
    ordinal integer not null,
    run     integer not null,
    unique (page, ordinal)
) strict;

create table fields (            -- the columns of the views
    kind    text    not null,
    name    text    not null,
    ordinal integer not null,
    primary key (kind, name)
) strict;

create table runs (
    id        integer primary key,
    spider    text    not null,
    started   real    not null,
    ended     real,
    reason    text,                             -- finished, limit_pages, stopped, ...
    finished  integer not null default 0,       -- 0: to be resumed
    pages     integer not null default 0,
    items     integer not null default 0,
    rejects   integer not null default 0,
    retries   integer not null default 0,
    dead      integer not null default 0,
    links     integer not null default 0,
    redirects integer not null default 0,
    bytes     integer not null default 0
) strict;

create table hosts (             -- the connection ledger; times in seconds
    run            integer not null,
    host           text    not null,
    requests       integer not null,
    reused         integer not null,
    unanswered     integer not null,
    opened         integer not null,
    closed_by_peer integer not null,
    dropped        integer not null,
    resent         integer not null,
    dns            real    not null,
    connect        real    not null,
    tls            real    not null,
    saved          real    not null,
    peak           integer not null,
    primary key (run, host)
) strict;
