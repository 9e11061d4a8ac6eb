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
    reason        text,                         -- why it is dead, waits, or has no items (redirect; kept)
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
    last_modified text,
    reused        integer,                      -- last fetch: 1 on a connection that had served before
    crashes       integer not null default 0    -- deaths of the process, in a row, while this page was read
) strict;
create index pages_due  on pages (priority desc, id)       where state = 'due';
create index pages_host on pages (host, priority desc, id) where state = 'due';
create index pages_wait on pages (due)                     where state = 'retry';
create index pages_dead on pages (run, id)                 where state = 'dead';

create table attempts (          -- the attempts that did not end well, of the last runs
    id      integer primary key,
    page    integer not null,
    run     integer not null,
    attempt integer not null,
    at      real    not null,                   -- when it was committed
    state   text    not null check (state in ('retry', 'dead')),
    status  integer,
    reason  text    not null,
    error   text    not null,
    elapsed real,                               -- seconds
    reused  integer
) strict;
create index attempts_page on attempts (page, id);

create table drops (             -- links that were not followed, items that were dropped: how many by reason
    run    integer not null,
    reason text    not null,                    -- offsite, nofollow, depth, length, path, host budget, scheme, item
    count  integer not null,
    primary key (run, reason)
) strict, without rowid;

create table dropped (           -- and the first of each reason
    run    integer not null,
    reason text    not null,
    url    text    not null,                    -- canonical, or as the page has it
    page   integer not null,                    -- where it was found; 0: a seed
    primary key (run, reason, url)
) strict, without rowid;
create index dropped_url on dropped (url);

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

create table kinds (             -- items of each kind that a run gave
    run   integer not null,
    kind  text    not null,
    items integer not null,
    primary key (run, kind)
) strict, without rowid;

create table fills (             -- and how many of these had a value in a field
    run    integer not null,
    kind   text    not null,
    field  text    not null,
    filled integer not null,
    primary key (run, kind, field)
) strict, without rowid;

create table runs (
    id        integer primary key,
    spider    text    not null,
    started   real    not null,
    ended     real,                             -- null: it is running, or was killed
    reason    text,                             -- finished, limit_pages, SIGTERM, deadline, abandoned, ...
    finished  integer not null default 0,       -- 0: to be resumed
    pages     integer not null default 0,
    items     integer not null default 0,
    rejects   integer not null default 0,
    retries   integer not null default 0,
    dead      integer not null default 0,
    links     integer not null default 0,
    redirects integer not null default 0,
    bytes     integer not null default 0,
    starts    integer not null default 1,       -- processes that worked on it
    seconds   real    not null default 0,       -- for so long in all
    scope     text,                             -- JSON: allowed_domains, max_depth and limits of the last of them
    reopened  text,                             -- why it had ended, when it goes on for its dead pages only
    verdicts  text                              -- JSON: each rule, its figure, and whether it was met
) strict;

create table notes (             -- what the next crawl should know: cookies, robots.txt, how hard a host may be asked
    kind  text not null,
    key   text not null,
    value text not null,
    until real not null,                        -- not after this date
    primary key (kind, key)
) strict, without rowid;

create table owner (             -- the process that works on the file; no row: nobody does
    id      integer primary key check (id = 1),
    pid     integer not null,
    host    text    not null,
    started real    not null,
    beat    real    not null,                   -- last sign of life
    status  text    not null                    -- JSON: what it is doing
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

create table files (             -- what each download came to last
    page         integer primary key,           -- its page, which has the URL
    folder       text    not null,              -- what the spider named: into
    path         text,                          -- below the setting files; null: there is none
    sha256       text,                          -- in hex
    size         integer,
    content_type text,                          -- by its first bytes, else as the server says
    status       text    not null check (status in ('fetched', 'kept', 'not modified', 'redirect', 'refused')),
    flaw         text,                          -- why there is no file, or no thumbnail
    thumbs       text,                          -- JSON: path, width, height and box of each thumbnail by its name
    etag         text,
    last_modified text,
    leads_to     integer,                       -- status redirect: the page that has the file
    fetched_at   real,
    asked_at     real,                          -- the server, whether it had changed
    first_run    integer not null,
    last_run     integer not null
) strict;
create index files_leads on files (leads_to) where leads_to is not null;

create table file_links (        -- which files an item has
    kind     text    not null,
    key      text    not null,                  -- as in items
    field    text    not null,                  -- what the file is to the item; '' when nobody said
    page     integer not null,                  -- of the download
    position integer not null,                  -- among the files of the page that asked for it
    run      integer not null,
    primary key (kind, key, field, page)
) strict, without rowid;
create index file_links_page on file_links (page);

create view files_of_items as    -- path is null while there is no file; state and reason of the download say why
select l.kind, l.key, l.field, l.position, p.url, f.path, f.sha256, f.size, f.content_type, f.thumbs, f.flaw,
    coalesce(t.state, p.state) as state, coalesce(t.reason, p.reason) as reason
from file_links l join pages p on p.id = l.page left join files a on a.page = l.page
left join files f on f.page = coalesce(a.leads_to, a.page) left join pages t on t.id = a.leads_to;
