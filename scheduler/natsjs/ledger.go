package natsjs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/scheduler"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

const (
	// headerRoom is left in a message for its headers, in bytes.
	headerRoom = 4 << 10
	// tries of one write whose fate is not known; the message id makes the second harmless.
	tries = 2
	// busyTries of a write that is refused because another on the same claim is
	// on its way through the replicas.
	busyTries = 200
)

// codeBusy is the refusal of a conditional write while another one is in flight.
// It says nothing about who owns the lattice.
const codeBusy = jetstream.JSErrCodeStreamWrongLastSequenceConstant

// Ledger stores commands and state under the fence of a claim. It implements
// [scheduler.Ledger].
//
// Every write names the claim's sequence as the last one on the claim's subject,
// so the server refuses it once a newer claim exists. An error that is neither
// ErrFenced nor ErrUnknownOutcome means that nothing was stored.
type Ledger struct {
	s   *Streams
	log *slog.Logger
	// writes numbers message ids within this process.
	writes atomic.Uint64
	// nonce keeps the ids of two processes apart that were given one epoch by mistake.
	nonce  string
	states stateCodec

	running atomic.Bool
	wake    chan struct{}
	mu      sync.Mutex
	// notes are the outcomes not yet stored, by claim; ids counts them.
	notes map[scheduler.Claim][]string
	ids   int
}

var _ scheduler.Ledger = (*Ledger)(nil)

// NewLedger returns the ledger of s.
func NewLedger(s *Streams) *Ledger {
	return &Ledger{
		s: s, log: s.log,
		nonce:  strconv.FormatUint(rand.Uint64(), 36),
		states: newStateCodec(),
		wake:   make(chan struct{}, 1),
		notes:  map[scheduler.Claim][]string{},
	}
}

// check refuses claims that fence nothing.
func check(c scheduler.Claim) error {
	if _, err := tenancy.ParseToken(c.Key.Token()); err != nil {
		return err
	}
	if c.Epoch == 0 {
		// Epoch 0 would mean "as long as nobody owns it".
		return fmt.Errorf("claim without epoch: %w", scheduler.ErrFenced)
	}
	return nil
}

// Append stores commands in order, in one message where they fit into one.
func (l *Ledger) Append(ctx context.Context, c scheduler.Claim, cmds []lattice.Command) error {
	if len(cmds) == 0 {
		return nil
	}
	if err := check(c); err != nil {
		return fmt.Errorf("append commands: %w", err)
	}
	encoded := make([][]byte, len(cmds))
	for i, cmd := range cmds {
		var err error
		if encoded[i], err = encode(cmd); err != nil {
			return fmt.Errorf("append commands: encode %s: %w", cmd.ID, err)
		}
	}
	batches, err := pack("[", encoded, "]", l.s.mostBytes())
	if err != nil {
		return fmt.Errorf("append commands: %w", err)
	}
	for i, data := range batches {
		err := l.write(ctx, c, commandSubject+c.Key.Token(), data, l.s.cfg.CommandTTL, false)
		switch {
		case err == nil:
		case i > 0 && !errors.Is(err, scheduler.ErrFenced):
			// The first part is there, the rest is not.
			return fmt.Errorf("append commands, part %d of %d: %w: %w", i+1, len(batches), scheduler.ErrUnknownOutcome, err)
		default:
			return fmt.Errorf("append commands: %w", err)
		}
	}
	return nil
}

// proofTTL is how long a proof is kept: as short as servers allow.
const proofTTL = time.Second

// ProveClaim stores a note of no outcomes for a moment.
func (l *Ledger) ProveClaim(ctx context.Context, c scheduler.Claim) error {
	if err := check(c); err != nil {
		return fmt.Errorf("prove claim: %w", err)
	}
	if err := l.write(ctx, c, commandSubject+c.Key.Token(), []byte(`{"resolved":[]}`), proofTTL, false); err != nil {
		return fmt.Errorf("prove claim: %w", err)
	}
	return nil
}

// encode writes JSON without the escapes that HTML would need: a page of it in a
// configuration would be six times as large.
func encode(cmd lattice.Command) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(cmd)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// pack joins encoded values with commas between head and tail, into as many
// messages of at most most bytes as it takes.
func pack(head string, values [][]byte, tail string, most int) ([][]byte, error) {
	var all [][]byte
	var b []byte
	for _, v := range values {
		if n := len(head) + len(v) + len(tail); n > most {
			return nil, fmt.Errorf("%w: %d bytes in one message, the server takes %d: %.200s", scheduler.ErrTooLarge, n, most, v)
		}
		switch {
		case b == nil:
			b = append(b, head...)
		case len(b)+1+len(v)+len(tail) > most:
			all = append(all, append(b, tail...))
			b = []byte(head)
		default:
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	if b == nil {
		return nil, nil
	}
	return append(all, append(b, tail...)), nil
}

// current makes sure that a read sees the claim, and that nobody has a newer
// one. A server that has fallen behind answers with what it had.
func (l *Ledger) current(ctx context.Context, c scheduler.Claim) error {
	for try := 0; ; try++ {
		m, err := l.get(ctx, getRequest{LastFor: claimSubject + c.Key.Token()})
		switch {
		case err == nil && m.Sequence == c.Epoch:
			return nil
		case err == nil && m.Sequence > c.Epoch:
			return scheduler.ErrFenced
		case err != nil && !errors.Is(err, jetstream.ErrMsgNotFound):
			return err
		}
		if try == 5 {
			return fmt.Errorf("read claim: the ledger does not know epoch %d", c.Epoch)
		}
		if !pause(ctx, try) {
			return context.Cause(ctx)
		}
	}
}

// write publishes one message under the fence and finds out its fate.
func (l *Ledger) write(ctx context.Context, c scheduler.Claim, subject string, data []byte, ttl time.Duration, rollup bool) error {
	key := c.Key.Token()
	// Within an epoch the server recognizes a repeated id; across epochs no id is
	// ever the same, so "duplicate" can only mean our own earlier try.
	id := key + "/" + strconv.FormatUint(c.Epoch, 10) + "/" + l.nonce + strconv.FormatUint(l.writes.Add(1), 10)
	unknown := 0
	for busy := 0; ; {
		m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{
			jetstream.ExpectedLastSubjSeqHeader:     {strconv.FormatUint(c.Epoch, 10)},
			jetstream.ExpectedLastSubjSeqSubjHeader: {claimSubject + key},
			jetstream.ExpectedStreamHeader:          {l.s.cfg.Ledger},
			jetstream.MsgIDHeader:                   {id},
		}}
		if ttl > 0 {
			m.Header.Set(jetstream.MsgTTLHeader, strconv.FormatInt(int64(ttl/time.Second), 10)+"s")
		}
		if rollup {
			m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
		}
		limited, cancel := context.WithTimeout(ctx, l.s.cfg.AppendTimeout)
		_, err := l.s.js.PublishMsg(limited, m, jetstream.WithRetryAttempts(0))
		cancel()
		var api *jetstream.APIError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
			return fmt.Errorf("%w: %w", scheduler.ErrFenced, err)
		case errors.As(err, &api) && api.ErrorCode == codeBusy && busy < busyTries:
			busy++
			if !breathe(ctx) {
				return undecided(unknown, context.Cause(ctx))
			}
			continue
		case errors.As(err, &api) && api.ErrorCode == codeBusy:
			return undecided(unknown, err)
		case definite(err):
			if api == nil && !errors.Is(err, nats.ErrMaxPayload) {
				l.s.trouble()
			}
			return undecided(unknown, err)
		}
		// Sent, and no answer or an unreadable one.
		l.s.trouble()
		if unknown++; unknown >= tries || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", scheduler.ErrUnknownOutcome, err)
		}
	}
}

// undecided is the error of a write that was refused now; if an earlier try of
// it was not answered, that one may still have been stored.
func undecided(unknown int, err error) error {
	if unknown > 0 {
		return fmt.Errorf("%w: %w", scheduler.ErrUnknownOutcome, err)
	}
	return err
}

// definite tells the errors after which nothing is stored: the server said so,
// nobody was there, or nothing was sent.
func definite(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, nats.ErrMaxPayload) ||
		errors.Is(err, nats.ErrReconnectBufExceeded)
}

// breathe waits 1 to 5 ms: as long as a write takes through the replicas.
func breathe(ctx context.Context) bool {
	return wait(ctx, time.Millisecond+rand.N(4*time.Millisecond))
}
