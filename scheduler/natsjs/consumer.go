package natsjs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/scheduler"
	"wadm/tenancy"
)

// Metadata of a consumer: the claim it was made under, and in which ledger the
// claim's epoch counts.
const (
	metaEpoch  = "wadm-epoch"
	metaLedger = "wadm-ledger"
)

// mute is after how many unanswered looks at a lost consumer it is deleted unseen:
// its server is gone and the cluster still knows its name.
const mute = 2

// warnEach is how often a lattice that gets no consumer is spoken of.
const warnEach = time.Minute

// longLook is how long a lattice that makes its consumer may look at the stream
// before it lets another one have its place: a stream in trouble is one tenant's.
const longLook = 100 * time.Millisecond

var errUnanswered = errors.New("no answer about it")

// consumerName is the durable name of a lattice's consumer. The tenant is in the
// stream's name.
func consumerName(key tenancy.LatticeKey) string { return "wadm-" + string(key.Lattice) }

// consumerConfig is a consumer that starts at a sequence. Never with whatever is
// new: a server that forgot the consumer makes it again from its configuration,
// and would leave out what came meanwhile.
func (a *attachment) consumerConfig(from uint64) jetstream.ConsumerConfig {
	cfg := a.in.s.cfg
	return jetstream.ConsumerConfig{
		Durable:           a.consumer,
		Description:       "events of lattice " + string(a.claim.Key.Lattice),
		FilterSubject:     storedSubject + string(a.claim.Key.Lattice),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           cfg.AckWait,
		MaxAckPending:     cfg.MaxAckPending,
		InactiveThreshold: cfg.Inactive,
		// One copy in memory: on disk the server writes a file per event, and
		// copies cost a consensus group per lattice. What is lost is made again.
		MemoryStorage: true,
		Replicas:      1,
		Metadata: map[string]string{
			metaEpoch:  strconv.FormatUint(a.claim.Epoch, 10),
			metaLedger: a.in.s.ledger(),
		},
	}
}

// renew makes sure that there is a consumer of ours, and tries until there is.
// The first one takes the place of whatever bears its name and starts with the
// next event; a later one, in the place of a lost one, where that stood. made
// tells that there is a new one. ErrFenced: there is one of a newer claim.
func (a *attachment) renew(ctx context.Context) (made bool, err error) {
	unanswered := 0
	began := time.Now()
	for try := 0; ; try++ {
		a.mu.Lock()
		lost := a.lost
		a.mu.Unlock()
		there, err := a.replace(ctx, unanswered >= mute)
		switch {
		case err == nil:
			return !there, nil
		case errors.Is(err, scheduler.ErrFenced), errors.Is(err, ErrStopped):
			return false, err
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case errors.Is(err, errUnanswered) && (lost || isOffline(err)):
			unanswered++
		}
		level := a.in.log.Debug
		if try >= 5 && a.ev.mayWarn(time.Now()) {
			level = a.in.log.Warn // by now it is no restart of a server any more
		}
		level("consumer of events not there", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "epoch", a.claim.Epoch,
			"for", time.Since(began), "error", err)
		if !pause(ctx, try) {
			return false, context.Cause(ctx)
		}
	}
}

// replace makes the consumer, in its turn, unless it is there.
func (a *attachment) replace(ctx context.Context, blindly bool) (there bool, err error) {
	leave, err := a.in.enter(ctx)
	if err != nil {
		return false, err
	}
	defer func() { leave() }()
	began := time.Now()
	if there, err = a.vacate(ctx, blindly); there || err != nil {
		return there, err
	}
	long := time.AfterFunc(longLook, leave)
	err = a.ev.look(ctx, began)
	if !long.Stop() && err == nil {
		leave()
		leave, err = a.in.enter(ctx)
	}
	if err != nil {
		return false, err
	}
	return false, a.create(ctx)
}

// enter waits for a place among those who make their consumers; leave, which may
// be called again, gives it back.
func (in *Intake) enter(ctx context.Context) (leave func(), err error) {
	select {
	case in.creates <- struct{}{}:
		return sync.OnceFunc(func() { <-in.creates }), nil
	case <-in.done:
		return func() {}, ErrStopped
	case <-ctx.Done():
		return func() {}, context.Cause(ctx)
	}
}

// vacate deletes the consumer that bears our name, with all requests to it. One
// of a newer claim stays, and the error is ErrFenced; one that this attachment
// has made stays too, and is there. blindly: it is deleted without a look at it.
func (a *attachment) vacate(ctx context.Context, blindly bool) (there bool, err error) {
	js, stream := a.in.s.js, a.ev.stream
	if !blindly {
		info, err := a.lookUp(ctx)
		if isAbsent(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look up consumer %s: %w: %w", a.consumer, errUnanswered, err)
		}
		epoch := a.epochOf(info)
		if epoch > a.claim.Epoch {
			return false, fmt.Errorf("consumer %s of epoch %d: %w", a.consumer, epoch, scheduler.ErrFenced)
		}
		a.mu.Lock()
		if there = a.made(info); there {
			a.lost, a.unsure, a.off = false, false, false
			a.found(info)
		}
		a.mu.Unlock()
		if there {
			return true, nil
		}
	}
	err = js.DeleteConsumer(ctx, stream, a.consumer)
	if err != nil && !isAbsent(err) {
		return false, fmt.Errorf("delete consumer %s: %w", a.consumer, err)
	}
	return false, nil
}

// create makes the consumer in a stream that was there after the old one was gone.
func (a *attachment) create(ctx context.Context) error {
	a.mu.Lock()
	if now := a.ev.incarnation.Load(); now != a.incarnation {
		// All events of the new stream are new; nothing of the old one is pending.
		a.incarnation, a.last, a.pending = now, 0, nil
	}
	if !a.begun {
		a.last = a.ev.last.Load()
	}
	from := a.position()
	a.mu.Unlock()
	term := a.ev.leadership.settled(time.Now())
	if _, err := a.in.s.js.CreateConsumer(ctx, a.ev.stream, a.consumerConfig(from)); err != nil {
		return fmt.Errorf("create consumer %s: %w", a.consumer, err)
	}
	a.in.stats.created.Add(1)
	if err := a.in.listen(a); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = true
	a.lost, a.unsure, a.off, a.reborn = false, false, false, false
	a.gap = false // a new consumer comes with one
	a.count, a.open = 0, 0
	a.term = max(a.term, term)
	a.quiet.heard = time.Now()
	// What waits here comes again.
	clear(a.queue)
	a.queue, a.head = a.queue[:0], 0
	return nil
}

// position is the sequence at which the next consumer must start. Called with mu.
func (a *attachment) position() uint64 {
	from := a.last + 1
	for _, p := range a.pending {
		from = min(from, p.seq)
	}
	return from
}
