package natsjs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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

// mute is after how many unanswered looks a consumer is deleted unseen: its
// server is gone and the cluster still knows its name.
const mute = 2

var errUnanswered = errors.New("no answer about it")

// consumerName is the durable name of a lattice's consumer. The tenant is in the
// stream's name.
func consumerName(key tenancy.LatticeKey) string { return "wadm-" + string(key.Lattice) }

// consumerConfig is a consumer that starts at a sequence, or with the next event
// when from is 0.
func (a *attachment) consumerConfig(from uint64) jetstream.ConsumerConfig {
	cfg := a.in.s.cfg
	c := jetstream.ConsumerConfig{
		Durable:           a.consumer,
		Description:       "events of lattice " + string(a.claim.Key.Lattice),
		FilterSubject:     storedSubject + string(a.claim.Key.Lattice),
		DeliverPolicy:     jetstream.DeliverNewPolicy,
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
	if from > 0 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	}
	return c
}

// renew makes sure that there is a consumer of ours, and tries until there is.
// The first one takes the place of whatever bears its name and starts with the
// next event; a later one, in the place of a lost one, where that stood. made
// tells that there is a new one. ErrFenced: there is one of a newer claim.
func (a *attachment) renew(ctx context.Context) (made bool, err error) {
	unanswered := 0
	for try := 0; ; try++ {
		select {
		case a.in.creates <- struct{}{}:
		case <-a.in.done:
			return false, ErrStopped
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		began := time.Now()
		there, err := a.vacate(ctx, unanswered >= mute)
		if err == nil && !there {
			err = a.create(ctx, began)
		}
		<-a.in.creates
		switch {
		case err == nil:
			return !there, nil
		case errors.Is(err, scheduler.ErrFenced):
			return false, err
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case errors.Is(err, errUnanswered):
			unanswered++
		}
		level := a.in.log.Debug
		if try == 5 {
			level = a.in.log.Warn // by now it is no restart of a server any more
		}
		level("consumer of events not there", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "epoch", a.claim.Epoch, "error", err)
		if !pause(ctx, try) {
			return false, context.Cause(ctx)
		}
	}
}

// vacate deletes the consumer that bears our name, with all requests to it. One
// of a newer claim stays, and the error is ErrFenced; one that this attachment
// has made stays too, and is there. blindly: it is deleted without a look at it.
func (a *attachment) vacate(ctx context.Context, blindly bool) (there bool, err error) {
	js, stream := a.in.s.js, a.ev.stream
	if !blindly {
		have, err := js.Consumer(ctx, stream, a.consumer)
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look up consumer %s: %w: %w", a.consumer, errUnanswered, err)
		}
		made := have.CachedInfo().Config.Metadata
		epoch, err := strconv.ParseUint(made[metaEpoch], 10, 64)
		switch counts := err == nil && made[metaLedger] == a.in.s.ledger(); {
		case counts && epoch > a.claim.Epoch:
			return false, fmt.Errorf("consumer %s of epoch %d: %w", a.consumer, epoch, scheduler.ErrFenced)
		case counts && epoch == a.claim.Epoch && a.begun:
			a.mu.Lock()
			a.found()
			a.mu.Unlock()
			return true, nil
		}
	}
	err = js.DeleteConsumer(ctx, stream, a.consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, fmt.Errorf("delete consumer %s: %w", a.consumer, err)
	}
	return false, nil
}

// create makes the consumer, and the stream if it is not there after began.
func (a *attachment) create(ctx context.Context, began time.Time) error {
	if err := a.ev.look(ctx, began); err != nil {
		return err
	}
	a.mu.Lock()
	if now := a.ev.now(); now != a.incarnation {
		// All events of the new stream are new; nothing of the old one is pending.
		a.incarnation, a.last, a.pending = now, 0, nil
	}
	from := a.position()
	a.mu.Unlock()
	made, err := a.in.s.js.CreateConsumer(ctx, a.ev.stream, a.consumerConfig(from))
	if err != nil {
		return fmt.Errorf("create consumer %s: %w", a.consumer, err)
	}
	a.in.stats.created.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		a.begun, a.last = true, made.CachedInfo().AckFloor.Stream
	}
	a.found()
	// What waits here comes again.
	clear(a.queue)
	a.queue, a.head = a.queue[:0], 0
	return nil
}

// found: the consumer is there, and whether it has requests of ours is not known.
// Called with mu.
func (a *attachment) found() {
	a.lost, a.off, a.open, a.heard = false, false, 0, time.Now()
}

// position is the sequence at which the next consumer must start, 0 when there
// has been none. Called with mu.
func (a *attachment) position() uint64 {
	if !a.begun {
		return 0
	}
	from := a.last + 1
	for _, p := range a.pending {
		from = min(from, p.seq)
	}
	return from
}
