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

	"wadm/config/natsconn"
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
	return followClaims(ctx, s.js, s.cfg.Ledger, seen)
}

// claimsBeat: whoever is told late of a claim acts on.
const claimsBeat = 500 * time.Millisecond

func followClaims(ctx context.Context, js jetstream.JetStream, ledger string, seen func([]shard.Head)) error {
	return natsconn.Follow(ctx, js, natsconn.Followed{Stream: ledger, Subjects: ClaimSubject + ".>", Beat: claimsBeat}, func(m natsconn.Message) (shard.Head, bool) {
		return head(shard.Key(strings.TrimPrefix(m.Subject, ClaimSubject+".")), m.Seq, m.Data), true
	}, seen)
}
