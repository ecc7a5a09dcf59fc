package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Kong's nodes tell each other of changes by rows of cluster_events, which live for an hour.
const (
	eventPage    = 1000
	eventOverlap = 10 * time.Second // how much later than its time a row may become visible
	eventsLive   = time.Hour
)

// maxConsumerChanges is how many changed consumers of one poll are searched in a cache one by one.
const maxConsumerChanges = 20

// A feed is where following has come to.
type feed struct {
	last time.Time // on the server's clock; zero before the first poll
	seen map[string]time.Time
	late []event // not valid yet
}

type event struct {
	id   string
	at   time.Time
	nbf  *time.Time
	data string
}

const eventQuery = `
SELECT id::text, at, nbf, data FROM cluster_events
WHERE channel = 'invalidations' AND (at, id) > ($1, $2::uuid) AND at <= $3 ORDER BY at, id LIMIT $4`

// follow polls until ctx ends.
func (p *Postgres) follow(ctx context.Context) {
	f := feed{seen: map[string]time.Time{}}
	tick := time.NewTicker(p.o.Poll)
	defer tick.Stop()
	for {
		if err := p.poll(ctx, &f); ctx.Err() == nil {
			p.health.set(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *Postgres) poll(ctx context.Context, f *feed) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	var now time.Time
	if err := p.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return postgresError(err)
	}
	if f.last.IsZero() || now.Sub(f.last) > eventsLive-time.Minute {
		// Nobody knows what happened before, or the events are gone already.
		*f = feed{last: now, seen: map[string]time.Time{}}
		p.notify(Change{All: true})
	}
	from, id := f.last.Add(-eventOverlap), "00000000-0000-0000-0000-000000000000"
	var fresh []event
	for {
		page, err := p.page(ctx, from, id, now)
		if err != nil {
			return postgresError(err)
		}
		for _, e := range page {
			if _, ok := f.seen[e.id]; !ok {
				fresh = append(fresh, e)
			}
		}
		if len(page) < eventPage {
			break
		}
		from, id = page[len(page)-1].at, page[len(page)-1].id
	}
	f.last = now
	for _, e := range fresh {
		f.seen[e.id] = e.at
	}
	for id, at := range f.seen {
		if at.Before(now.Add(-2 * eventOverlap)) {
			delete(f.seen, id)
		}
	}
	var due []event
	waiting := append(f.late, fresh...)
	f.late = nil
	for _, e := range waiting {
		if e.nbf != nil && e.nbf.After(now) {
			f.late = append(f.late, e)
		} else {
			due = append(due, e)
		}
	}
	p.tell(due)
	return nil
}

func (p *Postgres) page(ctx context.Context, from time.Time, id string, now time.Time) (page []event, err error) {
	rows, err := p.pool.Query(ctx, eventQuery, from, id, now, eventPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e event
		if err := rows.Scan(&e.id, &e.at, &e.nbf, &e.data); err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, rows.Err()
}

func (p *Postgres) tell(events []event) {
	var changes []Change
	consumers := 0
	for _, e := range events {
		entity, value, ok := parseEvent(e.data)
		switch {
		case !ok:
		case entity == "keyauth_credentials":
			changes = append(changes, Change{Digest: p.hasher.Digests([]byte(value))[0]})
		case entity == "consumers":
			changes = append(changes, Change{ConsumerID: value})
			consumers++
		}
	}
	if consumers > maxConsumerChanges {
		changes = []Change{{All: true}}
	}
	for _, c := range changes {
		p.notify(c)
	}
}

// parseEvent reads a name of Kong's cache: entity, value, four empty fields and the workspace's id, between colons. The value may
// hold colons as well.
func parseEvent(data string) (entity, value string, ok bool) {
	const tail = len(":::::") + len("00000000-0000-0000-0000-000000000000")
	entity, rest, ok := strings.Cut(data, ":")
	if !ok || len(rest) < tail || !strings.HasPrefix(rest[len(rest)-tail:], ":::::") {
		return "", "", false
	}
	return entity, rest[:len(rest)-tail], true
}
