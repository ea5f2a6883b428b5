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
			metaLedger: a.in.s.ledgerID,
		},
	}
	if from > 0 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	}
	return c
}

// renew puts a consumer of ours in the place of whatever is there, and tries
// until it has: the first one starts with the next event, one that takes the
// place of a lost one where that stood. ErrFenced: there is one of a newer claim.
func (a *attachment) renew(ctx context.Context) error {
	unanswered := 0
	for try := 0; ; try++ {
		select {
		case a.in.creates <- struct{}{}:
		case <-a.in.done:
			return ErrStopped
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		began := time.Now()
		err := a.vacate(ctx, &unanswered)
		if err == nil {
			err = a.create(ctx, began)
		}
		<-a.in.creates
		switch {
		case err == nil, errors.Is(err, scheduler.ErrFenced):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		level := a.in.log.Debug
		if try == 5 {
			level = a.in.log.Warn // by now it is no restart of a server any more
		}
		level("consumer of events not there", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "epoch", a.claim.Epoch, "error", err)
		if !pause(ctx, try) {
			return context.Cause(ctx)
		}
	}
}

// vacate deletes the consumer that bears our name, with all requests to it,
// unless it was made under a newer claim.
func (a *attachment) vacate(ctx context.Context, unanswered *int) error {
	js, stream := a.in.s.js, a.ev.stream
	have, err := js.Consumer(ctx, stream, a.consumer)
	switch {
	case err == nil:
		made := have.CachedInfo().Config.Metadata
		epoch, err := strconv.ParseUint(made[metaEpoch], 10, 64)
		if err == nil && made[metaLedger] == a.in.s.ledgerID && epoch > a.claim.Epoch {
			return fmt.Errorf("consumer %s of epoch %d: %w", a.consumer, epoch, scheduler.ErrFenced)
		}
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return nil
	default:
		if *unanswered++; *unanswered <= mute {
			return fmt.Errorf("look up consumer %s: %w", a.consumer, err)
		}
	}
	err = js.DeleteConsumer(ctx, stream, a.consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("delete consumer %s: %w", a.consumer, err)
	}
	return nil
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
	a.lost, a.off, a.open, a.heard = false, false, 0, time.Now()
	// What waits here comes again.
	clear(a.queue)
	a.queue, a.head = a.queue[:0], 0
	return nil
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
