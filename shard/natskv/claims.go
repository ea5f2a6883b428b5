package natskv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/shard"
)

// forgetAfter is how long the release of a key that is gone stays readable.
const forgetAfter = time.Hour

// JetStream's answers to a conditional write.
const (
	codeWrongSequence = 10071 // the condition did not hold
	codeInFlight      = 10164 // the condition could not be checked yet; nothing is stored
)

// Put implements shard.Claims.
func (s *Store) Put(ctx context.Context, k shard.Key, r shard.Record, expect uint64) (uint64, error) {
	body, err := r.Encode()
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(ClaimSubject + "." + string(k))
	m.Data = body
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expect, 10))
	m.Header.Set(jetstream.ExpectedStreamHeader, s.cfg.Ledger)
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	if r.Forget {
		m.Header.Set(jetstream.MsgTTLHeader, forgetAfter.String())
	}
	ack, err := s.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, fmt.Errorf("put claim %s: %w", k, writeError(err))
	}
	return ack.Sequence, nil
}

// writeError tells refused, busy and unknown apart. Only an answer of the
// server, or the certainty that nobody received the write, rules out that it is stored.
func writeError(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		switch api.ErrorCode {
		case codeWrongSequence:
			return fmt.Errorf("%w: %w", shard.ErrFenced, err)
		case codeInFlight:
			return fmt.Errorf("%w: %w", shard.ErrBusy, err)
		}
		return err
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return err
	default:
		return fmt.Errorf("%w: %w", shard.ErrUnknownOutcome, err)
	}
}

// Last implements shard.Claims.
func (s *Store) Last(ctx context.Context, k shard.Key) (shard.Head, error) {
	m, err := s.ledger.GetLastMsgForSubject(ctx, ClaimSubject+"."+string(k))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return shard.Head{Key: k}, nil
	}
	if err != nil {
		return shard.Head{}, fmt.Errorf("read claim %s: %w", k, err)
	}
	return head(k, m.Sequence, m.Data), nil
}

func head(k shard.Key, seq uint64, data []byte) shard.Head {
	r, err := shard.DecodeRecord(data)
	return shard.Head{Key: k, Seq: seq, Record: r, Bad: err != nil}
}

// Follow implements shard.Claims.
func (s *Store) Follow(ctx context.Context, seen func([]shard.Head)) error {
	cons, err := claimsConsumer(ctx, s.js, s.cfg.Ledger)
	if err == nil {
		defer unfollow(ctx, s.js, s.cfg.Ledger, cons)
		err = follow(ctx, cons, seen)
	}
	if err != nil {
		return fmt.Errorf("follow claims: %w", err)
	}
	return nil
}

// claimsConsumer makes a consumer of the newest claim of each key, and of those to come.
func claimsConsumer(ctx context.Context, js jetstream.JetStream, ledger string) (jetstream.Consumer, error) {
	// Not the client's ordered consumer: when that hears nothing it makes a new one
	// by itself, as often as it takes, and neither the context nor the end of the
	// connection ends that.
	return js.CreateConsumer(ctx, ledger, jetstream.ConsumerConfig{
		FilterSubject:     ClaimSubject + ".>",
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: followKept,
	})
}

// follow calls seen with all that there are, and then with each that comes, until
// ctx ends.
func follow(ctx context.Context, cons jetstream.Consumer, seen func([]shard.Head)) error {
	pending := cons.CachedInfo().NumPending
	// Whoever is told late acts on. A consumer dies with its server without a word:
	// missed heartbeats tell within about a second.
	msgs, err := cons.Messages(jetstream.PullExpiry(5*time.Second), jetstream.PullHeartbeat(followBeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer msgs.Stop()

	first := make([]shard.Head, 0, pending)
	loaded := pending == 0
	if loaded {
		seen(first)
	}
	silent, last := 0, uint64(0)
	for {
		m, err := next(ctx, msgs, !loaded)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			// The client notices a subscription that has died by missing heartbeats,
			// but not in waits as short as these.
			if silent++; silent > mostSilent {
				return fmt.Errorf("nothing within %v of what is pending", mostSilent*loadWait)
			}
			// What was pending may have been replaced or have expired on the way.
			info, err := cons.Info(ctx)
			if err != nil {
				return err
			}
			if info.NumPending == 0 {
				loaded = true
				seen(first)
			}
			continue
		case err != nil:
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if got := meta.Sequence.Consumer; got != last+1 {
			return fmt.Errorf("head %d came after %d", got, last)
		}
		silent, last = 0, meta.Sequence.Consumer
		k := shard.Key(strings.TrimPrefix(m.Subject(), ClaimSubject+"."))
		h := head(k, meta.Sequence.Stream, m.Data())
		if loaded {
			seen([]shard.Head{h})
			continue
		}
		first = append(first, h)
		if loaded = meta.NumPending == 0; loaded {
			seen(first)
		}
	}
}

// followBeat is how often a quiet subscription shows that it is there; followKept
// is how long the server keeps one that nobody reads any more, and unfollowTimeout
// how long it may take to delete it at once.
const (
	followBeat      = 500 * time.Millisecond
	followKept      = time.Minute
	unfollowTimeout = 500 * time.Millisecond
)

// unfollow deletes a consumer. Where that fails the server forgets it by itself,
// but a ledger that comes and goes would have hundreds of them until then.
func unfollow(ctx context.Context, js jetstream.JetStream, ledger string, cons jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unfollowTimeout)
	defer cancel()
	_ = js.DeleteConsumer(ctx, ledger, cons.CachedInfo().Name)
}

// While the heads are loaded, each wait is loadWait long, and mostSilent of them
// in a row mean that the subscription brings nothing.
const (
	loadWait   = time.Second
	mostSilent = 3
)

func next(ctx context.Context, msgs jetstream.MessagesContext, bounded bool) (jetstream.Msg, error) {
	if bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, loadWait)
		defer cancel()
	}
	return msgs.Next(jetstream.NextContext(ctx))
}
