package send

import (
	"errors"
	"slices"
	"time"
)

const (
	// halveAfter is after how many failures in a row a parcel is halved: the way may be too slow for so many events, or
	// one of them may be what the collector stumbles over.
	halveAfter = 3
	// giveUpAfter is how often an event must fail by itself, each time after the collector has taken something else,
	// until it is dropped, and giveUpTime how long that must have been going on: a collector that fails now and then is no
	// reason. In an outage nothing is taken, so nothing is dropped.
	giveUpAfter = 8
	giveUpTime  = 10 * time.Minute
	// opinions is how many more batches are asked with soon when one is answered that the collector takes nothing: it may
	// be the batch that it dislikes.
	opinions = 2
	// maxParcels bounds the parcels that an outage leaves behind (of the oldest there may be some more), maxParcelsUp those
	// that wait beside a collector that takes others.
	maxParcels, maxParcelsUp = 16, 64
)

// A parcel is a batch or a part of one on its way.
type parcel struct {
	batch
	place     int       // of its first event among all that were taken
	due       time.Time // no attempt before, unless to find out whether the collector is back
	failures  int       // in a row
	suspicion int       // failures since the one before which the collector had taken other events
	suspect   time.Time // since when it, or what it is a part of, has failed like that; zero: not at all
	successes int       // those of the delivery at the last failure
	seasoned  bool      // it, or what it is a part of, has had its share of attempts
}

func (p *parcel) suspected() bool { return !p.suspect.IsZero() }

// halves returns the two halves of a parcel, to be tried at once.
func (p *parcel) halves() []*parcel {
	half := p.len() / 2
	return []*parcel{
		{batch: p.part(0, half), place: p.place, successes: p.successes, suspect: p.suspect, seasoned: p.seasoned},
		{batch: p.part(half, p.len()), place: p.place + half, successes: p.successes, suspect: p.suspect, seasoned: p.seasoned},
	}
}

// pick returns what to upload next, or nil and when to ask again: a parcel whose time has come, else a new batch.
func (d *delivery) pick(now time.Time) (p *parcel, wait time.Duration) {
	if d.circuit.state != closed {
		return d.pickToAsk()
	}
	wait = time.Hour
	for i, p := range d.parcels {
		due := p.due.Sub(now)
		if due <= 0 {
			return d.remove(i), 0
		}
		wait = min(wait, due)
	}
	if len(d.parcels) < maxParcelsUp {
		p, later := d.fresh()
		return p, min(wait, later)
	}
	return nil, wait
}

// pickToAsk is pick while the collector fails. Parcels take turns: there are two at least, and one more whenever each has
// had its share, so that a batch that always fails does not look like an outage for long.
func (d *delivery) pickToAsk() (p *parcel, wait time.Duration) {
	asked, impatient := 0, false
	for _, p := range d.parcels {
		if !p.suspected() {
			asked++
			impatient = impatient || !p.seasoned
		}
	}
	wait = time.Hour
	if asked < 2 || !impatient && len(d.parcels) < maxParcels {
		if p, wait = d.fresh(); p != nil {
			return p, 0
		}
	}
	if len(d.parcels) == 0 {
		return nil, wait
	}
	// What fails beside a collector that takes others is asked last: it tells nothing.
	return d.remove(max(0, slices.IndexFunc(d.parcels, func(p *parcel) bool { return !p.suspected() }))), 0
}

// fresh takes a new batch from the queue, or says how long to wait for one.
func (d *delivery) fresh() (p *parcel, wait time.Duration) {
	b, wait := d.q.take()
	if b.len() == 0 {
		return nil, wait
	}
	p = &parcel{batch: b, place: d.taken, successes: d.successes}
	d.taken += b.len()
	return p, 0
}

func (d *delivery) remove(i int) *parcel {
	p := d.parcels[i]
	d.parcels = append(d.parcels[:i:i], d.parcels[i+1:]...)
	return p
}

// fail puts a parcel aside that the collector has not taken. What fails again and again while the collector takes other
// events is to blame itself: it is halved, and the event that is left in the end is dropped.
func (d *delivery) fail(p *parcel, o outcome) {
	p.failures++
	if d.successes > p.successes && (p.failures > 1 || p.suspected()) {
		p.suspicion++
		if !p.suspected() {
			p.suspect = time.Now()
		}
	}
	p.successes = d.successes
	p.due = time.Now().Add(d.bounded(max(backoff(p.failures-1), o.after)))
	if !p.suspected() || o.asksForTime() || d.circuit.state != closed { // else it is the parcel's own affair
		d.interrupt(o)
	}
	p.seasoned = p.seasoned || p.failures >= halveAfter || o.class == hold
	slow := errors.Is(o.err, errNoAnswer) && p.failures > 1 && !p.suspected()
	switch {
	case o.asksForTime() || p.failures < halveAfter && !slow:
		d.parcels = append(d.parcels, p)
	case p.len() == 1 && p.suspicion >= giveUpAfter && (time.Since(p.suspect) >= giveUpTime || len(d.parcels) > maxParcelsUp/2):
		d.q.env.Notice("poison", "one event fails again and again and others do not, so it is given up: "+o.why())
		d.drop(dropRefused, p)
	case p.len() == 1 || !p.suspected() && len(d.parcels) >= maxParcels && !d.oldest(p):
		d.parcels = append(d.parcels, p)
	case slow: // the next question is a smaller one, soon: each takes its time anyway
		d.parcels = append(p.halves(), d.parcels...)
		d.circuit.failures = 0
	default:
		d.parcels = append(d.parcels, p.halves()...)
	}
}

// oldest reports whether nothing that waits is older than p.
func (d *delivery) oldest(p *parcel) bool {
	return !slices.ContainsFunc(d.parcels, func(other *parcel) bool { return other.place < p.place })
}

// interrupt stops the uploads for a while.
func (d *delivery) interrupt(o outcome) {
	if o.class != hold {
		d.circuit.interrupt(o.why(), d.bounded(max(backoff(d.circuit.failures), o.after)))
		return
	}
	wait := probeEvery
	if d.circuit.failures < opinions {
		wait = firstBackoff
	}
	d.circuit.hold(o.why()+": "+remedy(o.status), d.bounded(wait))
	if d.patience > 0 && d.patience < probeEvery {
		d.q.cancel() // nobody will act in the seconds that are left
	}
}

// bounded shortens a pause when the queue is closing.
func (d *delivery) bounded(wait time.Duration) time.Duration {
	if d.patience > 0 {
		wait = min(wait, d.patience)
	}
	return wait
}
