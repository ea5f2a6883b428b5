package natskv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
)

// claimOp is one try to succeed the claim that was written by op Expect.
type claimOp struct {
	Key    string
	ID     string
	Expect string // "": none
}

type claimOut int

const (
	made claimOut = iota
	refused
	unknown
)

// claimRegister says what a history of claims may look like: a chain in which each
// claim names the one it succeeds.
var claimRegister = porcupine.NondeterministicModel{
	Partition: func(h []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, o := range h {
			k := o.Input.(claimOp).Key
			by[k] = append(by[k], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() []any { return []any{""} },
	Step: func(state, in, out any) []any {
		last, op := state.(string), in.(claimOp)
		switch fits := last == op.Expect; out.(claimOut) {
		case made:
			if fits {
				return []any{op.ID}
			}
			return nil
		case refused:
			if !fits {
				return []any{last}
			}
			return nil
		default:
			if fits {
				return []any{op.ID, last}
			}
			return []any{last}
		}
	},
	Equal: func(a, b any) bool { return a == b },
}

// history lets clients race for a few keys over connections that lose answers and
// requests, and records what they were told.
func history(t *testing.T, put func(ctx context.Context, s *natskv.Store, k shard.Key, r shard.Record, expect uint64) error) []porcupine.Operation {
	t.Helper()
	srv := natstest.Start(t)
	open(t, srv)
	var mu sync.Mutex
	var ops []porcupine.Operation
	began := time.Now()
	var wg sync.WaitGroup
	for c := range 5 {
		s, f := openFaulty(t, srv)
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(c), 7))
			for n := range 60 {
				k := shard.Key(fmt.Sprintf("t.l%d", rnd.IntN(3)))
				h, err := s.Last(t.Context(), k)
				if err != nil {
					continue
				}
				op := claimOp{Key: string(k), ID: fmt.Sprintf("c%d-%d", c, n), Expect: string(h.Record.Incarnation)}
				mode := natstest.Passing
				if rnd.IntN(8) == 0 {
					mode = []natstest.WireMode{natstest.Losing, natstest.Holding}[rnd.IntN(2)]
				}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				call := time.Since(began)
				f.Set(mode)
				err = put(ctx, s, k, shard.Record{Owner: "c", Incarnation: shard.Incarnation(op.ID), State: shard.Held}, h.Seq)
				f.Set(natstest.Passing)
				ret := time.Since(began)
				cancel()
				out := unknown
				switch {
				case err == nil:
					out = made
				case errors.Is(err, shard.ErrFenced):
					out = refused
				case errors.Is(err, shard.ErrUnknownOutcome):
					ret = time.Hour // it may take effect at any time
				default:
					continue // not stored
				}
				mu.Lock()
				ops = append(ops, porcupine.Operation{ClientId: c, Input: op, Call: int64(call), Output: out, Return: int64(ret)})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return ops
}

func TestClaimsAreLinearizable(t *testing.T) {
	t.Parallel()
	ops := history(t, func(ctx context.Context, s *natskv.Store, k shard.Key, r shard.Record, expect uint64) error {
		_, err := s.Put(ctx, k, r, expect)
		return err
	})
	lost := 0
	for _, o := range ops {
		if o.Output.(claimOut) == unknown {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no answer was lost: the test tests too little")
	}
	if r := porcupine.CheckOperationsTimeout(claimRegister.ToModel(), ops, 30*time.Second); r != porcupine.Ok {
		t.Errorf("%d operations, %d of unknown outcome: %s", len(ops), lost, r)
	}
}

// Without its condition the same write must be found out.
func TestClaimsWithoutConditionAreFoundOut(t *testing.T) {
	t.Parallel()
	ops := history(t, func(ctx context.Context, s *natskv.Store, k shard.Key, r shard.Record, _ uint64) error {
		b, err := r.Encode()
		if err != nil {
			return err
		}
		m := nats.NewMsg(natskv.ClaimSubject + "." + string(k))
		m.Data = b
		m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
		if _, err := s.JetStream().PublishMsg(ctx, m, jetstream.WithRetryAttempts(0)); err != nil {
			return shard.ErrUnknownOutcome
		}
		return nil
	})
	if r := porcupine.CheckOperationsTimeout(claimRegister.ToModel(), ops, 30*time.Second); r != porcupine.Illegal {
		t.Errorf("unconditional claims pass as %s", r)
	}
}
