// Package shardtest helps to test owners and the ports of package shard: an
// in-memory store with injectable faults, the contract that every
// implementation of the ports must meet, and the checkers of the invariants.
package shardtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"wadm/shard"
)

// Fault is what goes wrong with one write.
type Fault int

// The faults.
const (
	// None: the write goes through.
	None Fault = iota
	// Refused: the write fails with a plain error and is not stored.
	Refused
	// LostBefore: the outcome is unknown; the write is not stored.
	LostBefore
	// LostAfter: the outcome is unknown; the write is stored.
	LostAfter
	// Busy: the write fails with shard.ErrBusy and is not stored.
	Busy
)

// Memory is one store in memory; any number of instances may share it.
type Memory struct {
	mu      sync.Mutex
	seq     uint64
	keys    map[shard.Key]bool
	heads   map[shard.Key]shard.Head
	log     []shard.Head
	fault   func(op, k string) Fault
	delay   func(op, k string) time.Duration
	watches map[*feed[shard.KeyChange]]bool
	follows map[*feed[shard.Head]]bool
}

var (
	_ shard.Registry = (*Memory)(nil)
	_ shard.Claims   = (*Memory)(nil)
)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		keys: map[shard.Key]bool{}, heads: map[shard.Key]shard.Head{},
		watches: map[*feed[shard.KeyChange]]bool{}, follows: map[*feed[shard.Head]]bool{},
	}
}

// SetFault has f decide the fate of every write; op is "claim", "register",
// "unregister", "member", "drop" or "view". nil: no faults.
func (m *Memory) SetFault(f func(op, key string) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// SetDelay has every write take as long as f says, before it is stored.
func (m *Memory) SetDelay(f func(op, key string) time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = f
}

func (m *Memory) wait(op, key string) {
	m.mu.Lock()
	f := m.delay
	m.mu.Unlock()
	if f != nil {
		time.Sleep(f(op, key))
	}
}

// Log gives every claim record ever stored, in order.
func (m *Memory) Log() []shard.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]shard.Head(nil), m.log...)
}

// write runs store under the fate of the operation. It is called with mu held.
func (m *Memory) write(op, key string, store func() error) error {
	f := None
	if m.fault != nil {
		f = m.fault(op, key)
	}
	switch f {
	case Refused:
		return fmt.Errorf("%s %s: refused by fault", op, key)
	case Busy:
		return fmt.Errorf("%s %s: %w", op, key, shard.ErrBusy)
	case LostBefore:
		return fmt.Errorf("%s %s: %w", op, key, shard.ErrUnknownOutcome)
	case LostAfter:
		if err := store(); err != nil {
			return err
		}
		return fmt.Errorf("%s %s: %w", op, key, shard.ErrUnknownOutcome)
	default:
		return store()
	}
}

// fated is write for stores with a lock of their own.
func (m *Memory) fated(op, key string, store func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.write(op, key, store)
}

func (m *Memory) lastSeq() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seq
}

// Register implements shard.Registry.
func (m *Memory) Register(ctx context.Context, k shard.Key) error {
	if _, err := shard.ParseKey(string(k)); err != nil {
		return err
	}
	return m.change(ctx, "register", k, false)
}

// Unregister implements shard.Registry.
func (m *Memory) Unregister(ctx context.Context, k shard.Key) error {
	if _, err := shard.ParseKey(string(k)); err != nil {
		return err
	}
	return m.change(ctx, "unregister", k, true)
}

func (m *Memory) change(ctx context.Context, op string, k shard.Key, gone bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.write(op, string(k), func() error {
		if m.keys[k] != gone {
			return nil
		}
		if gone {
			delete(m.keys, k)
		} else {
			m.keys[k] = true
		}
		for f := range m.watches {
			f.push(shard.KeyChange{Key: k, Gone: gone})
		}
		return nil
	})
}

// Watch implements shard.Registry.
func (m *Memory) Watch(ctx context.Context, seen func([]shard.KeyChange)) error {
	m.mu.Lock()
	var first []shard.KeyChange
	for k := range m.keys {
		first = append(first, shard.KeyChange{Key: k})
	}
	f := newFeed[shard.KeyChange]()
	m.watches[f] = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watches, f)
	}()
	seen(first)
	return f.run(ctx, seen)
}

// Put implements shard.Claims.
func (m *Memory) Put(ctx context.Context, k shard.Key, r shard.Record, expect uint64) (uint64, error) {
	if _, err := r.Encode(); err != nil {
		return 0, err
	}
	m.wait("claim", string(k))
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var seq uint64
	err := m.write("claim", string(k), func() error {
		if last := m.heads[k].Seq; last != expect {
			return fmt.Errorf("claim %s: last is %d, not %d: %w", k, last, expect, shard.ErrFenced)
		}
		m.seq++
		seq = m.seq
		r.Forget = false
		h := shard.Head{Key: k, Seq: seq, Record: r}
		m.heads[k] = h
		m.log = append(m.log, h)
		for f := range m.follows {
			f.push(h)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return seq, nil
}

// append notes a write under a claim, which must be the last record of its key.
func (m *Memory) append(c shard.Claim) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.heads[c.Key]; h.Seq != c.Epoch {
		return fmt.Errorf("append to %s at %d: last is %d: %w", c.Key, c.Epoch, h.Seq, shard.ErrFenced)
	}
	return nil
}

// Last implements shard.Claims.
func (m *Memory) Last(ctx context.Context, k shard.Key) (shard.Head, error) {
	if err := ctx.Err(); err != nil {
		return shard.Head{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.heads[k]
	h.Key = k
	return h, nil
}

// Follow implements shard.Claims.
func (m *Memory) Follow(ctx context.Context, seen func([]shard.Head)) error {
	m.mu.Lock()
	first := make([]shard.Head, 0, len(m.heads))
	for _, h := range m.heads {
		first = append(first, h)
	}
	f := newFeed[shard.Head]()
	m.follows[f] = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.follows, f)
	}()
	seen(first)
	return f.run(ctx, seen)
}

// Disconnect ends every subscription with an error, as a lost connection does.
func (m *Memory) Disconnect() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.watches {
		f.fail()
	}
	for f := range m.follows {
		f.fail()
	}
}
