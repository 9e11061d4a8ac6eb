-- From schema 2 to 3: what a crawl learns of the hosts it asks.

create table notes (
    kind  text not null,
    key   text not null,
    value text not null,
    until real not null,
    primary key (kind, key)
) strict, without rowid;
