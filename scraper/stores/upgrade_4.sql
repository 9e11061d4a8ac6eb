-- From schema 3 to 4: the files that downloads gave, and whose they are.

create table files (
    page         integer primary key,
    folder       text    not null,
    path         text,
    sha256       text,
    size         integer,
    content_type text,
    status       text    not null check (status in ('fetched', 'kept', 'not modified', 'redirect', 'refused')),
    flaw         text,
    thumbs       text,
    etag         text,
    last_modified text,
    leads_to     integer,
    fetched_at   real,
    asked_at     real,
    first_run    integer not null,
    last_run     integer not null
) strict;
create index files_leads on files (leads_to) where leads_to is not null;

create table file_links (
    kind     text    not null,
    key      text    not null,
    field    text    not null,
    page     integer not null,
    position integer not null,
    run      integer not null,
    primary key (kind, key, field, page)
) strict, without rowid;
create index file_links_page on file_links (page);

create view files_of_items as
select l.kind, l.key, l.field, l.position, p.url, f.path, f.sha256, f.size, f.content_type, f.thumbs, f.flaw,
    coalesce(t.state, p.state) as state, coalesce(t.reason, p.reason) as reason
from file_links l join pages p on p.id = l.page left join files a on a.page = l.page
left join files f on f.page = coalesce(a.leads_to, a.page) left join pages t on t.id = a.leads_to;
